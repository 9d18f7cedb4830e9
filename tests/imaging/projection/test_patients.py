"""Whose study it is: by identifier and person, never by a bare number."""

from __future__ import annotations

from typing import Any

import pytest
from imaging.projection.place import JANE, STUDY, Place, element, instance

from fhirserver.dicom.mapping.issuers import Issuers
from fhirserver.imaging.projection.patients import DE_IDENTIFIED, TAG


async def own_patient(place: Place) -> dict[str, Any]:
    """The patient that the study was given, and nobody knew before."""
    reference = (await place.study())["subject"]["reference"]
    patient = await place.client.get(reference)
    assert patient["meta"]["tag"] == [TAG]
    return patient


async def reviews(place: Place) -> list[Any]:
    return [task["description"] for task in await place.found("Task")]


async def test_nobody_of_that_identifier(place: Place) -> None:
    await place.add(instance(1, 1))
    await place.project()
    patient = await own_patient(place)
    assert patient["name"] == [{"use": "usual", "family": "Doe", "given": ["Jane"]}]
    assert await reviews(place) == ["There is no patient with this identifier."]
    tag = f"{TAG['system']}|{TAG['code']}"
    assert len(await place.found(f"Task?status=requested&_tag={tag}")) == 1


async def test_a_patient_whose_tag_was_taken_away_is_somebody(place: Place) -> None:
    await place.add(instance(1, 1))
    await place.project()
    own = await own_patient(place)
    meta = {"name": "meta", "valueMeta": {"tag": [TAG]}}
    await place.client.call(f"Patient/{own['id']}/$meta-delete", meta)
    more = {
        "t0020000D": element("UI", "1.2.3"),
        "t0020000E": element("UI", "1.2.3.1"),
        "t00080018": element("UI", "1.2.3.1.1"),
        "t00100040": element("CS", "F"),
    }
    await place.add(instance(1, 1, **more))
    await place.project()
    assert (await place.study("1.2.3"))["subject"] == {"reference": f"Patient/{own['id']}"}
    assert len(await place.found("Task")) == 1


async def test_the_next_study_goes_to_the_same(place: Place) -> None:
    await place.add(instance(1, 1), instance(1, 1, t0020000D=element("UI", "1.2.3")))
    await place.add(
        instance(
            1,
            1,
            t0020000D=element("UI", "1.2.3"),
            t0020000E=element("UI", "1.2.3.1"),
            t00080018=element("UI", "1.2.3.1.1"),
        )
    )
    await place.project()
    assert len(await place.found("Patient")) == 1
    assert len(await place.found("Task")) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"t00100030": element("DA", "19800101")}, "birthDate"),
        ({"t00100040": element("CS", "M")}, "gender"),
        ({"t00100010": element("PN", {"Alphabetic": "Roe^Richard"})}, "name"),
    ],
)
async def test_another_person_of_the_same_number(
    place: Place, more: dict[str, Any], said: str
) -> None:
    await place.client.put(JANE)
    await place.add(instance(1, 1, **more))
    await place.project()
    patient = await own_patient(place)
    assert patient["id"] != "jane"
    (task,) = await place.found("Task")
    assert task["description"].endswith(f"has another {said}.")
    assert task["input"][0]["valueReference"] == {"reference": "Patient/jane"}


async def test_a_bare_number_is_nobodys(place: Place) -> None:
    await place.client.put(JANE, JANE | {"id": "bare", "identifier": [{"value": "4711"}]})
    place.issuers = Issuers()
    await place.add(instance(1, 1))
    await place.project()
    assert (await own_patient(place))["id"] not in ("jane", "bare")
    assert await reviews(place) == ["The study does not say who issued the patient id."]


async def test_several_patients_of_the_same_number(place: Place) -> None:
    await place.client.put(JANE, JANE | {"id": "twin"})
    await place.add(instance(1, 1))
    await place.project()
    await own_patient(place)
    assert await reviews(place) == ["Several patients have this identifier."]


async def test_of_several_the_one_that_agrees(place: Place) -> None:
    await place.client.put(JANE, JANE | {"id": "other", "birthDate": "2001-01-01"})
    await place.add(instance(1, 1))
    await place.project()
    assert (await place.study())["subject"] == {"reference": "Patient/jane"}


async def test_a_merge_moves_the_study_and_what_comes_later(place: Place) -> None:
    await place.add(instance(1, 1))
    await place.project()
    own = await own_patient(place)
    await place.client.put(JANE | {"identifier": [{"system": "urn:x", "value": "1"}]})
    projector = place.projector()
    await projector._following.changed()
    await place.client.call(
        "Patient/$merge",
        {"name": "source-patient", "valueReference": {"reference": f"Patient/{own['id']}"}},
        {"name": "target-patient", "valueReference": {"reference": "Patient/jane"}},
    )
    assert (await place.study())["subject"] == {"reference": "Patient/jane"}
    await projector._following.changed()
    kept = await place.archive.study(STUDY)
    assert kept is not None
    assert kept.subject == "Patient/jane"
    await place.add(instance(1, 2))
    await place.project()
    study = await place.study()
    assert study["subject"] == {"reference": "Patient/jane"}
    assert study["numberOfInstances"] == 2
    more = {
        "t0020000D": element("UI", "1.2.3"),
        "t0020000E": element("UI", "1.2.3.1"),
        "t00080018": element("UI", "1.2.3.1.1"),
    }
    await place.add(instance(1, 1, **more))
    await place.project()
    assert (await place.study("1.2.3"))["subject"] == {"reference": "Patient/jane"}


async def test_a_subject_set_by_hand_stays(place: Place) -> None:
    await place.add(instance(1, 1))
    await place.project()
    await place.client.put({"resourceType": "Patient", "id": "right"})
    await place.client.put(await place.study() | {"subject": {"reference": "Patient/right"}})
    await place.add(instance(1, 2))
    await place.project()
    assert (await place.study())["subject"] == {"reference": "Patient/right"}
    kept = await place.archive.study(STUDY)
    assert kept is not None
    assert kept.subject == "Patient/right"


async def test_a_de_identified_study_is_nobodys(place: Place) -> None:
    await place.client.put(JANE)
    await place.add(instance(1, 1, t00120062=element("CS", "YES")))
    await place.project()
    reference = (await place.study())["subject"]["reference"]
    assert (await place.client.get(reference))["meta"]["tag"] == [DE_IDENTIFIED]
    assert await place.found("Task") == []
