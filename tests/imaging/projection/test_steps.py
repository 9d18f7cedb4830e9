"""ImagingStudy.status follows performed procedure steps and the archive, in any order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import permutations

import pytest
from imaging.projection.place import JANE, STUDY, Place, instance

from fhirserver.model.json import Resource

DCM = "http://dicom.nema.org/resources/ontology/DCM"


def step(status: str, id: str = "s1", **more: object) -> Resource:
    """The Task of a performed procedure step, as `operations.imaging.mpps` writes it."""
    return {
        "resourceType": "Task",
        "id": id,
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}.9{id[1:]}"}],
        "status": status,
        "intent": "order",
        "focus": {
            "type": "ImagingStudy",
            "identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"},
        },
        "for": {"reference": "Patient/jane"},
        "executionPeriod": {"start": "2026-03-02T08:15:00+01:00"},
        "input": [
            {
                "type": {"coding": [{"system": DCM, "code": "121139"}]},
                "valueCodeableConcept": {"coding": [{"system": DCM, "code": "CT"}]},
            }
        ],
        **more,
    }


async def status(place: Place) -> str:
    return str((await place.study())["status"])


async def test_a_step_that_began_announces_its_study(place: Place) -> None:
    order = {
        "resourceType": "ServiceRequest",
        "id": "o1",
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/jane"},
    }
    await place.client.put(JANE, order)
    await place.client.put(step("in-progress", basedOn=[{"reference": "ServiceRequest/o1"}]))
    await place.followed(place.projector())
    study = await place.study()
    assert study["status"] == "registered"
    assert study["subject"] == {"reference": "Patient/jane"}
    assert study["basedOn"] == [{"reference": "ServiceRequest/o1"}]
    assert study["modality"] == [{"system": DCM, "code": "CT"}]
    assert study["started"] == "2026-03-02T08:15:00+01:00"
    assert study["identifier"][0]["value"] == f"urn:oid:{STUDY}"
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (0, 0)


@pytest.mark.parametrize(
    ("ends", "instances", "expected"),
    [
        (["in-progress"], 0, "registered"),
        (["completed"], 0, "registered"),
        (["failed"], 0, "cancelled"),
        (["failed", "in-progress"], 0, "registered"),
        (["failed", "failed"], 0, "cancelled"),
        (["failed", "completed"], 0, "registered"),
        (["in-progress"], 1, "available"),
        (["completed"], 1, "available"),
        (["failed"], 1, "available"),
    ],
)
async def test_the_status_is_that_of_steps_and_instances(
    place: Place, ends: list[str], instances: int, expected: str
) -> None:
    await place.client.put(JANE, *(step(end, f"s{at}") for at, end in enumerate(ends)))
    if instances:
        await place.add(instance(1, 1))
    await place.followed(place.projector())
    assert await status(place) == expected


@pytest.mark.parametrize("end", ["completed", "failed"])
async def test_the_order_of_what_comes_makes_no_difference(place: Place, end: str) -> None:
    """N-CREATE comes before N-SET; the images whenever they like."""
    await place.client.put(JANE)
    projector = place.projector()

    async def begins() -> None:
        await place.client.put(step("in-progress"))

    async def ends() -> None:
        await place.client.put(step(end))

    async def images() -> None:
        await place.add(instance(1, 1))

    events: list[Callable[[], Awaitable[None]]] = [begins, ends, images]
    seen = []
    for order in permutations(events):
        if order.index(begins) > order.index(ends):
            continue
        for event in order:
            await event()
            await place.followed(projector)
        study = await place.study()
        seen.append({name: study[name] for name in study if name != "meta"})
        await place.archive.delete(STUDY)
        await place.client.put(step("entered-in-error"))
        await place.followed(projector)
        assert await status(place) == "cancelled"
    assert len(seen) == 3
    assert seen[0]["status"] == "available"
    assert seen == [seen[0]] * 3


async def test_one_burst_is_one_version(place: Place) -> None:
    await place.client.put(JANE)
    projector = place.projector()
    await projector._turn()
    await place.client.put(step("in-progress"))
    await projector._turn()
    await place.add(instance(1, 1), instance(1, 2))
    await projector._turn()
    await place.client.put(step("completed"))
    await place.add(instance(1, 3))
    await place.followed(projector)
    study = await place.study()
    assert (study["meta"]["versionId"], study["status"]) == ("1", "available")
    assert study["numberOfInstances"] == 3
    await place.client.put(step("completed", description="a word"))
    await place.followed(projector)
    assert (await place.study())["meta"]["versionId"] == "1"


async def test_a_discontinued_step_cancels_what_was_announced(place: Place) -> None:
    await place.client.put(JANE, step("in-progress"))
    projector = place.projector()
    await place.followed(projector)
    await place.client.put(step("failed"))
    await place.followed(projector)
    study = await place.study()
    assert (study["meta"]["versionId"], study["status"]) == ("2", "cancelled")


async def test_a_deleted_study_waits_where_a_step_goes_on(place: Place) -> None:
    await place.client.put(JANE, step("completed"))
    await place.add(instance(1, 1))
    projector = place.projector()
    await place.followed(projector)
    await place.archive.delete(STUDY)
    await place.followed(projector)
    assert await status(place) == "cancelled"
    await place.client.put(step("in-progress", "s2"))
    await place.followed(projector)
    assert await status(place) == "registered"


async def test_a_step_of_nobody_known_announces_nothing(place: Place) -> None:
    nobody = step("in-progress")
    del nobody["for"]
    await place.client.put(nobody)
    projector = place.projector()
    await projector._turn()
    assert projector._again
    await place.followed(projector)
    assert await place.found("ImagingStudy") == []


async def test_what_was_announced_by_others_becomes_available(place: Place) -> None:
    planned = {
        "resourceType": "ImagingStudy",
        "id": "planned",
        "status": "registered",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"}],
        "subject": {"reference": "Patient/jane"},
    }
    await place.client.put(JANE, planned)
    await place.add(instance(1, 1))
    await place.project()
    (found,) = await place.found("ImagingStudy")
    assert (found["id"], found["status"]) == ("planned", "available")


async def test_an_error_that_somebody_noted_stays(place: Place) -> None:
    await place.client.put(JANE, step("in-progress"))
    projector = place.projector()
    await place.followed(projector)
    await place.client.put(await place.study() | {"status": "entered-in-error"})
    await place.add(instance(1, 1))
    await place.followed(projector)
    assert await status(place) == "entered-in-error"


async def test_what_was_followed_and_not_projected_is_taken_up_by_the_next(place: Place) -> None:
    await place.client.put(JANE, step("in-progress"))
    first = place.projector("one")
    await first._turn()
    assert first._again
    await first._lease.release()
    await place.followed(place.projector("two"))
    assert await status(place) == "registered"
