"""Orders by accession number, also those that come after their study; one timeline."""

from __future__ import annotations

from typing import Any

import pytest
from imaging.projection.place import ACCESSION, JANE, STUDY, Place, element, instance

from fhirserver.model.json import Resource

TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"


def order(id: str, patient: str = "jane") -> Resource:
    return {
        "resourceType": "ServiceRequest",
        "id": id,
        "status": "active",
        "intent": "order",
        "identifier": [{"system": ACCESSION, "value": "A1"}],
        "subject": {"reference": f"Patient/{patient}"},
    }


A1 = {"t00080050": element("SH", "A1")}
LOGICAL = {
    "type": "ServiceRequest",
    "identifier": {
        "type": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]
        },
        "system": ACCESSION,
        "value": "A1",
    },
}


async def test_the_one_order_of_the_accession_number(place: Place) -> None:
    await place.client.put(JANE, order("o1"))
    await place.add(instance(1, 1, **A1))
    await place.project()
    assert (await place.study())["basedOn"] == [{"reference": "ServiceRequest/o1"}]


async def test_no_order_or_several_are_named_only(place: Place) -> None:
    await place.client.put(JANE)
    await place.add(instance(1, 1, **A1))
    await place.project()
    assert (await place.study())["basedOn"] == [LOGICAL]
    await place.client.put(order("o1"), order("o2"))
    await place.add(instance(1, 2, **A1))
    await place.project()
    assert (await place.study())["basedOn"] == [LOGICAL]


async def test_an_order_of_another_patient_is_not_linked(place: Place) -> None:
    await place.client.put(JANE, {"resourceType": "Patient", "id": "john"}, order("o1", "john"))
    await place.add(instance(1, 1, **A1))
    await place.project()
    assert (await place.study())["basedOn"] == [LOGICAL]


async def test_an_order_that_comes_later_is_linked(place: Place) -> None:
    await place.client.put(JANE)
    await place.add(instance(1, 1, **A1))
    projector = place.projector()
    await place.followed(projector)
    await place.client.put(order("o1"))
    await place.followed(projector)
    assert (await place.study())["basedOn"] == [{"reference": "ServiceRequest/o1"}]


def numbered(id: str, *numbers: tuple[str, str], patient: str = "jane", **more: Any) -> Resource:
    """An order with identifiers of these types and values."""
    identifiers = [
        {"type": {"coding": [{"system": TYPES, "code": type}]}, "value": value, **more}
        for type, value in numbers
    ]
    return order(id, patient) | {"identifier": identifiers}


def placed(placer: str = "", filler: str = "", accession: str = "") -> dict[str, Any]:
    """Request attributes of one order."""
    found = {"00402016": placer, "00402017": filler, "00080050": accession}
    return {tag: element("LO", value) for tag, value in found.items() if value}


P1 = {"t00402016": element("LO", "P1")}
ORDERS = {
    "by the placer's number in the header": (P1, [numbered("o1", ("PLAC", "P1"))], "o1"),
    "by the filler's": (
        {"t00402017": element("LO", "F1")},
        [numbered("o1", ("FILL", "F1"))],
        "o1",
    ),
    "in the request attributes": (
        {"t00400275": element("SQ", placed("P1"))},
        [numbered("o1", ("PLAC", "P1"))],
        "o1",
    ),
    "a number of another type is another number": (P1, [numbered("o1", ("FILL", "P1"))], None),
    "two have it": (
        P1,
        [numbered("o1", ("PLAC", "P1")), numbered("o2", ("PLAC", "P1"))],
        None,
    ),
    "of another patient": (P1, [numbered("o1", ("PLAC", "P1"), patient="john")], None),
    "the accession number decides first": (
        P1 | A1,
        [order("o1"), numbered("o2", ("PLAC", "P1"))],
        "o1",
    ),
    "what the accession number leaves open, the placer's decides": (
        P1 | A1,
        [order("o1"), numbered("o2", ("PLAC", "P1"), ("ACSN", "A1"), system=ACCESSION)],
        "o2",
    ),
    "numbers that contradict each other decide nothing": (
        P1 | A1,
        [order("o1"), order("o2"), numbered("o3", ("PLAC", "P1"))],
        None,
    ),
    "by another issuer": (
        P1 | {"t00400026": element("SQ", {"00400031": element("UT", "WARD")})},
        [numbered("o1", ("PLAC", "P1"), system="https://example.org/other")],
        None,
    ),
    "by its issuer": (
        P1 | {"t00400026": element("SQ", {"00400031": element("UT", "WARD")})},
        [numbered("o1", ("PLAC", "P1"), system="urn:dicom:issuer:WARD")],
        "o1",
    ),
}


@pytest.mark.parametrize("case", ORDERS)
@pytest.mark.parametrize("first", ["order", "study"])
async def test_the_order_by_its_numbers(place: Place, case: str, first: str) -> None:
    header, orders, expected = ORDERS[case]
    await place.client.put(JANE, {"resourceType": "Patient", "id": "john"})
    projector = place.projector()
    if first == "order":
        await place.client.put(*orders)
    await place.add(instance(1, 1, **header))
    await place.followed(projector)
    if first == "study":
        await place.client.put(*orders)
        await place.followed(projector)
    (reference,) = (await place.study())["basedOn"]
    assert reference.get("reference") == (expected and f"ServiceRequest/{expected}")
    asked = await place.found("Task?_tag=urn:fhirserver:imaging|ambiguous-order")
    several = case in ("two have it", "numbers that contradict each other decide nothing")
    assert len(asked) == several


async def test_the_order_that_has_the_uid_of_the_study(place: Place) -> None:
    """As the worklist gave it; the study itself names no number."""
    known = {"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"}
    await place.client.put(JANE, order("o1") | {"identifier": [known]})
    await place.add(instance(1, 1))
    await place.project()
    assert (await place.study())["basedOn"] == [{"reference": "ServiceRequest/o1"}]


async def test_each_request_has_its_order(place: Place) -> None:
    requests = element("SQ", placed("P1", accession="A1"), placed("P2"), placed(filler="F3"))
    await place.client.put(
        JANE, order("o1"), numbered("o2", ("PLAC", "P2")), numbered("o4", ("FILL", "F4"))
    )
    await place.add(instance(1, 1, t00400275=requests, **A1))
    await place.project()
    *found, open = (await place.study())["basedOn"]
    assert found == [{"reference": "ServiceRequest/o1"}, {"reference": "ServiceRequest/o2"}]
    assert open["identifier"]["value"] == "F3"
    assert open["identifier"]["type"]["coding"][0]["code"] == "FILL"


async def test_the_visit(place: Place) -> None:
    visit = {
        "resourceType": "Encounter",
        "id": "v1",
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "identifier": [{"system": "https://example.org/visit", "value": "V1"}],
        "subject": {"reference": "Patient/jane"},
    }
    await place.client.put(JANE, visit)
    await place.add(instance(1, 1, t00380010=element("LO", "V1")))
    await place.project()
    assert (await place.study())["encounter"] == {"reference": "Encounter/v1"}


async def test_one_timeline_by_accession_number(place: Place) -> None:
    """The query of docs/imaging.md: the order, its tasks, the study and the report."""
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r1",
        "status": "final",
        "code": {"text": "CT"},
        "basedOn": [{"reference": "ServiceRequest/o1"}],
    }
    task = {
        "resourceType": "Task",
        "id": "t1",
        "status": "completed",
        "intent": "order",
        "basedOn": [{"reference": "ServiceRequest/o1"}],
    }
    await place.client.put(JANE, order("o1"), report, task)
    await place.add(instance(1, 1, **A1))
    await place.project()
    found = await place.found(
        f"ServiceRequest?identifier={ACCESSION}|A1&_revinclude=ImagingStudy:basedon"
        "&_revinclude=Task:based-on&_revinclude=Procedure:based-on"
        "&_revinclude=DiagnosticReport:based-on"
    )
    assert {f"{one['resourceType']}/{one['id']}" for one in found} == {
        "ServiceRequest/o1",
        "Task/t1",
        f"ImagingStudy/{STUDY}",
        "DiagnosticReport/r1",
    }
