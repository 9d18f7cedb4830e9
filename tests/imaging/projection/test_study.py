"""A study of the archive becomes one ImagingStudy, whatever happens on the way."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from imaging.projection.place import JANE, STUDY, Place, element, instance, row


async def test_a_study_becomes_an_imaging_study(place: Place) -> None:
    await place.client.put(JANE)
    await place.add(instance(1, 1), instance(1, 2), instance(2, 1))
    await place.project()
    study = await place.study()
    assert study["subject"] == {"reference": "Patient/jane"}
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (2, 3)
    assert study["endpoint"] == [{"reference": "Endpoint/dicomweb"}]
    endpoint = await place.client.get("Endpoint/dicomweb")
    assert endpoint["address"] == "http://example.org/dicom-web"
    kept = await place.archive.study(STUDY)
    assert kept is not None
    assert (kept.imaging_study, kept.subject) == (STUDY, "Patient/jane")
    assert kept.projected == kept.revision
    assert not await place.archive.changed()


async def test_it_is_found_as_people_search(place: Place) -> None:
    await place.client.put(JANE)
    await place.add(instance(1, 1, t00080020=element("DA", "20260701")))
    await place.project()
    for search in (
        f"identifier=urn:dicom:uid|urn:oid:{STUDY}",
        "patient=jane&modality=CT",
        "started=2026-07",
        f"instance={STUDY}.1.1",
        f"series={STUDY}.1",
    ):
        assert [one["id"] for one in await place.found(f"ImagingStudy?{search}")] == [STUDY]


async def test_nothing_changed_writes_nothing(place: Place) -> None:
    await place.client.put(JANE)
    await place.add(instance(1, 1))
    await place.project()
    before = await place.study()
    kept = await place.archive.study(STUDY)
    assert kept is not None
    await place.projector()._projection.project(kept)
    assert await place.study() == before


async def test_what_comes_later_is_added(place: Place) -> None:
    await place.add(instance(1, 1))
    await place.project()
    await place.add(instance(1, 2), instance(2, 1))
    await place.project()
    study = await place.study()
    assert study["meta"]["versionId"] == "2"
    assert study["numberOfInstances"] == 3


async def test_the_order_of_arrival_makes_no_difference(place: Place) -> None:
    await place.client.put(JANE)
    one = instance(1, 1, t00081030=element("LO", "one"))
    other = instance(1, 2, t00081030=element("LO", "other"))
    await place.add(other)
    await place.project()
    assert (await place.study())["description"] == "other"
    await place.add(one)
    await place.project()
    assert (await place.study())["description"] == "one"


async def test_a_deleted_instance_is_taken_out(place: Place) -> None:
    await place.add(instance(1, 1), instance(1, 2))
    await place.project()
    await place.archive.delete(STUDY, f"{STUDY}.1", f"{STUDY}.1.2")
    await place.project()
    study = await place.study()
    assert (study["status"], study["numberOfInstances"]) == ("available", 1)


async def test_a_deleted_study_is_cancelled_and_comes_back(place: Place) -> None:
    await place.add(instance(1, 1, t00081030=element("LO", "Thorax")))
    await place.project()
    await place.archive.delete(STUDY)
    await place.project()
    study = await place.study()
    assert (study["status"], study["numberOfInstances"]) == ("cancelled", 0)
    assert study["description"] == "Thorax"
    assert "series" not in study
    await place.add(instance(1, 1, t00081030=element("LO", "Thorax")))
    await place.project()
    study = await place.study()
    assert (study["status"], study["numberOfInstances"]) == ("available", 1)


async def test_what_others_wrote_stays(place: Place) -> None:
    await place.client.put(JANE)
    await place.add(instance(1, 1, t00081030=element("LO", "from the modality")))
    await place.project()
    study = await place.study()
    await place.client.put(
        study
        | {
            "note": [{"text": "seen"}],
            "description": "by hand",
            "reasonCode": [{"text": "cough"}],
            "identifier": [*study["identifier"], {"system": "urn:x", "value": "1"}],
        }
    )
    reason = element("SQ", {"00401002": element("LO", "fever")})
    await place.add(instance(1, 2, t00400275=reason, t00080050=element("SH", "A1")))
    await place.project()
    study = await place.study()
    assert study["note"] == [{"text": "seen"}]
    assert study["description"] == "by hand"
    assert study["reasonCode"] == [{"text": "cough"}, {"text": "fever"}]
    assert [one["value"] for one in study["identifier"]] == [f"urn:oid:{STUDY}", "1", "A1"]
    assert study["numberOfInstances"] == 2


async def test_an_imaging_study_that_was_there_is_taken(place: Place) -> None:
    await place.client.put(
        JANE,
        {
            "resourceType": "ImagingStudy",
            "id": "planned",
            "status": "registered",
            "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"}],
            "subject": {"reference": "Patient/jane"},
        },
    )
    await place.add(instance(1, 1))
    await place.project()
    found = await place.found("ImagingStudy")
    assert [one["id"] for one in found] == ["planned"]
    assert found[0]["numberOfInstances"] == 1
    assert found[0]["subject"] == {"reference": "Patient/jane"}


@pytest.mark.slow_on_mongodb
async def test_many_associations_that_deliver_one_study_lose_no_series(place: Place) -> None:
    """Eight threads, a hundred series, and projections all the while."""
    headers = [instance(series, number) for series in range(1, 101) for number in (1, 2)]

    def deliver(part: int) -> None:
        for header in headers[part::8]:
            assert place.archive.add_soon([row(header)]).result() == ["new"]

    projectors = [place.projector("one"), place.projector("two")]
    with ThreadPoolExecutor(8) as threads:
        loop = asyncio.get_running_loop()
        waiting = asyncio.gather(*(loop.run_in_executor(threads, deliver, n) for n in range(8)))
        while not waiting.done():
            await asyncio.gather(*(one.settle() for one in projectors))
            await asyncio.sleep(0.01)
        await waiting
    await place.project()
    study = await place.study()
    assert study["numberOfInstances"] == 200
    assert [len(series["instance"]) for series in study["series"]] == [2] * 100
    assert len(await place.found("Patient")) == 1


async def test_zone_and_issuer_of_the_sender_are_assumed(place: Place) -> None:
    await place.client.put(JANE | {"identifier": [{"system": "urn:oid:1.9", "value": "4711"}]})
    place.assumed = place.assumed._replace(issuer="SITE", zone="Europe/Vienna")
    place.issuers = type(place.issuers)({"SITE": "urn:oid:1.9"})
    more = {"t00080020": element("DA", "20260701"), "t00080030": element("TM", "101112")}
    await place.add(instance(1, 1, **more))
    await place.project()
    study = await place.study()
    assert study["started"] == "2026-07-01T10:11:12+02:00"
    assert study["subject"] == {"reference": "Patient/jane"}


async def test_an_imaging_study_that_was_deleted_comes_back_when_the_study_changes(
    place: Place,
) -> None:
    await place.add(instance(1, 1))
    await place.project()
    await place.client.delete(f"ImagingStudy/{STUDY}")
    await place.add(instance(1, 2))
    await place.project()
    assert (await place.study())["numberOfInstances"] == 2


@pytest.mark.slow_on_mongodb
async def test_a_study_of_thousands_of_instances_has_one_version(place: Place) -> None:
    await place.add(*(instance(1, number) for number in range(1, 2001)))
    await place.project()
    study = await place.study()
    assert study["meta"]["versionId"] == "1"
    numbers = [one["number"] for one in study["series"][0]["instance"]]
    assert numbers == list(range(1, 2001))
