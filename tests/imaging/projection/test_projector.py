"""When studies are projected, and by whom."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from imaging.projection.place import JANE, STUDY, Place, element, instance

from fhirserver.archive.port import Changed
from fhirserver.imaging.projection.lease import LEASE, Lease
from fhirserver.imaging.projection.projector import LONGEST, QUIET, Projected, Projector, _Known

_START = 10**15


def changed(*, since: int, last: int) -> Changed:
    return Changed(STUDY, 1, since, last, 1, None, None)


def projector() -> Projector:
    nothing: object = None
    return Projector(nothing, nothing, nothing, nothing, lambda: 0)  # type: ignore[arg-type]


def test_a_quiet_study_is_due_and_one_that_grows_waits() -> None:
    due = projector()._is_due
    assert not due(changed(since=_START, last=_START), _START + QUIET - 1)
    assert due(changed(since=_START, last=_START), _START + QUIET)
    growing = _START + LONGEST
    assert not due(changed(since=_START + 1, last=growing), growing)
    assert due(changed(since=_START, last=growing), growing)


@given(st.integers(50, 1000), st.integers(1, 60))
def test_a_burst_makes_few_versions(rate: int, seconds: int) -> None:
    """Instances come without a pause; a version for each of them would be rate times seconds."""
    one, versions, since = projector(), 0, _START
    for tick in range(seconds * rate):
        now = _START + tick * 1_000_000 // rate
        if one._is_due(changed(since=since, last=now), now):
            versions += 1
            one._known[STUDY] = _Known(now, versions, now)
            since = now
    assert versions <= seconds.bit_length() + seconds // 32


async def test_one_of_two_has_the_lease_until_it_lets_go(place: Place) -> None:
    clock = [_START]
    one = Lease(place.store.records, "one", lambda: clock[0])
    two = Lease(place.store.records, "two", lambda: clock[0])
    assert await one.held()
    assert not await two.held()
    clock[0] += LEASE // 2
    assert await one.held()
    clock[0] += LEASE * 3 // 4
    assert not await two.held()
    clock[0] += LEASE
    assert await two.held()
    assert not await one.held()
    await two.release()
    assert await one.held()


async def test_it_projects_what_arrives_and_tells(place: Place) -> None:
    await place.client.put(JANE)
    heard: asyncio.Queue[Projected] = asyncio.Queue()
    projectors = [place.projector(name, heard.put) for name in ("one", "two")]
    for one in projectors:
        one.start()
    try:
        await place.add(*(instance(1, number) for number in range(50)))
        assert await heard.get() == Projected(STUDY, STUDY)
    finally:
        for one in projectors:
            await one.stop()
    study = await place.study()
    assert (study["meta"]["versionId"], study["numberOfInstances"]) == ("1", 50)
    assert heard.empty()


async def test_a_study_that_cannot_be_projected_keeps_no_other_from_it(place: Place) -> None:
    await place.client.put(JANE)
    one = place.projector()
    broken = one._projection.project
    seen: list[str] = []

    async def project(study):  # type: ignore[no-untyped-def]
        seen.append(study.uid)
        if study.uid == STUDY:
            raise RuntimeError
        return await broken(study)

    one._projection.project = project  # type: ignore[method-assign]
    await place.add(instance(1, 1))
    await place.add(
        instance(
            1,
            1,
            t0020000D=element("UI", "1.2.3"),
            t0020000E=element("UI", "1.2.3.1"),
            t00080018=element("UI", "1.2.3.1.1"),
        )
    )
    one._now = lambda: _START * 100
    await one._turn()
    await one._turn()
    assert seen == [STUDY, "1.2.3"]
    assert (await place.study("1.2.3"))["numberOfInstances"] == 1
