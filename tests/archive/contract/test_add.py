"""Adding and deleting, on every archive."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from archive.conftest import EVERY_KIND, ON_MONGODB, opened
from archive.making import header, instance

from fhirserver.archive.port import Archive, Changed
from fhirserver.archive.query import Question
from fhirserver.errors import Gone, Invalid, NotFound


async def test_an_instance_is_added_once(archive: Archive) -> None:
    one = instance()
    assert await archive.add([one]) == ["new"]
    assert await archive.add([one]) == ["same"]
    (held,) = await archive.held("1.1")
    assert (held.study, held.series, held.instance) == ("1.1", "1.1.1", "1.1.1.1")
    assert (held.blob, held.size, held.source) == (one.blob, 1000, one.source)
    assert (held.sop_class, held.transfer_syntax, held.frames) == (
        one.sop_class,
        one.transfer_syntax,
        None,
    )
    assert await archive.count() == (1, 1, 1)


async def test_who_gives_up_an_addition_stops_no_other(archive: Archive) -> None:
    given_up = [archive.add_soon([instance(uid=f"1.1.1.{n}")]) for n in range(20)]
    for adding in given_up:
        adding.cancel()
    async with asyncio.timeout(10):
        assert await archive.add([instance(uid="1.1.1.99")]) == ["new"]


async def test_other_content_is_a_conflict(archive: Archive) -> None:
    first, other = instance(), instance(content="x", t00100010="Other^Name")
    await archive.add([first])
    assert await archive.add([other]) == ["kept"]
    assert (await archive.held("1.1"))[0].blob == first.blob
    assert await archive.add([other], "replace") == ["replaced"]
    (held,) = await archive.held("1.1")
    assert held.blob == other.blob
    study = await archive.study("1.1")
    assert study is not None
    assert msgspec.json.decode(study.header)["00100010"]["Value"] == [{"Alphabetic": "Other^Name"}]
    assert await archive.freed() == [first.blob]
    assert await archive.count() == (1, 1, 1)


async def test_an_instance_that_comes_with_another_study_conflicts_too(archive: Archive) -> None:
    await archive.add([instance(), instance(uid="1.1.1.2")])
    moved = instance("2.2", "2.2.1", "1.1.1.1", t00080060="MR")
    assert await archive.add([moved]) == ["kept"]
    assert await archive.add([moved], "replace") == ["replaced"]
    assert [held.instance for held in await archive.held("1.1")] == ["1.1.1.2"]
    assert [held.instance for held in await archive.held("2.2")] == ["1.1.1.1"]
    studies = [await archive.study(uid) for uid in ("1.1", "2.2")]
    assert [(one.instances, one.modalities) for one in studies if one] == [
        (1, ("CT",)),
        (1, ("MR",)),
    ]


async def test_another_stands_for_the_study_when_the_lowest_moves_away(archive: Archive) -> None:
    one, two, three = (
        instance(uid=f"1.1.1.{number}", t00081030=f"{number}") for number in (1, 2, 3)
    )
    await archive.add([one, two])
    moved = replace(one, study="2.2")
    assert await archive.add([moved, three], "replace") == ["replaced", "new"]
    study = await archive.study("1.1")
    assert study is not None
    assert msgspec.json.decode(study.header)["00081030"]["Value"] == ["2"]


async def test_a_header_that_is_none_is_refused(archive: Archive) -> None:
    broken = replace(instance(), header=b"[1")
    with pytest.raises(Invalid):
        await archive.add([broken])
    assert await archive.count() == (0, 0, 0)


async def test_threads_add_as_well(archive: Archive) -> None:
    def thread(number: int) -> list[str]:
        return [
            archive.add_soon(
                [instance(series=f"1.1.{number}", uid=f"1.1.{number}.{one}")]
            ).result()[0]
            for one in range(20)
        ]

    done = await asyncio.gather(*(asyncio.to_thread(thread, number) for number in range(4)))
    assert [state for states in done for state in states] == ["new"] * 80
    study = await archive.study("1.1")
    assert study is not None
    assert (study.series, study.instances) == (4, 80)
    assert [one.instances for one in await archive.series("1.1")] == [20] * 4


async def test_the_lowest_instance_stands_for_its_study(archive: Archive) -> None:
    await archive.add([instance("1.1", "1.1.5", "9.2", t00081030="five", t0008103E="b")])
    await archive.add([instance("1.1", "1.1.5", "9.1", t00081030="first", t0008103E="a")])
    await archive.add([instance("1.1", "1.1.7", "1.0", t00081030="late", t00080060="SR")])
    study = await archive.study("1.1")
    assert study is not None
    assert msgspec.json.decode(study.header)["00081030"]["Value"] == ["first"]
    assert study.modalities == ("CT", "SR")
    series = await archive.series("1.1")
    assert [(one.uid, one.modality, one.instances) for one in series] == [
        ("1.1.5", "CT", 2),
        ("1.1.7", "SR", 1),
    ]
    await archive.delete("1.1", "1.1.5", "9.1")
    study = await archive.study("1.1")
    assert study is not None
    assert msgspec.json.decode(study.header)["00081030"]["Value"] == ["five"]
    await archive.delete("1.1", "1.1.5")
    (row,) = (await archive.find(Question("study"))).rows
    told = msgspec.json.decode(row.joined())
    assert told["00081030"]["Value"] == ["late"]
    assert told["00080061"]["Value"] == ["SR"]
    assert (told["00201206"]["Value"], told["00201208"]["Value"]) == ([1], [1])


async def test_what_was_deleted_is_gone_and_may_come_again(archive: Archive) -> None:
    one, two, three = instance(), instance(uid="1.1.1.2"), instance(series="1.1.2", uid="1.1.2.1")
    await archive.add([one, two, three])
    await archive.projected("1.1", 1, "study-1", "Patient/1")
    with pytest.raises(NotFound):
        await archive.delete("1.1", "1.1.1", "9")
    with pytest.raises(NotFound):
        await archive.delete("9")
    assert await archive.delete("1.1", "1.1.1", "1.1.1.1") == ("1.1", 1, "study-1", "Patient/1")
    assert await archive.was_deleted("1.1", "1.1.1", "1.1.1.1")
    assert not await archive.was_deleted("1.1", "1.1.1", "1.1.1.2")
    with pytest.raises(Gone):
        await archive.delete("1.1", "1.1.1", "1.1.1.1")
    await archive.delete("1.1", "1.1.1")
    assert await archive.was_deleted("1.1", "1.1.1")
    assert not await archive.was_deleted("1.1")
    assert (await archive.delete("1.1")).instances == 1
    assert await archive.was_deleted("1.1")
    assert not await archive.was_deleted("9")
    study = await archive.study("1.1")
    assert study is not None
    assert (study.instances, study.header, study.imaging_study) == (0, b"", "study-1")
    with pytest.raises(Gone):
        await archive.delete("1.1")
    assert (await archive.find(Question("study"))).rows == ()
    assert await archive.held("1.1") == []
    digests = await archive.freed()
    assert sorted(digests) == sorted([one.blob, two.blob, three.blob])
    await archive.dropped(digests)
    assert await archive.add([one], verified=True) == ["new"]
    assert not await archive.was_deleted("1.1", "1.1.1", "1.1.1.1")
    assert (await archive.find(Question("study"))).rows[0].study_uid == "1.1"


async def test_a_blob_that_is_being_deleted_is_not_relied_on(archive: Archive) -> None:
    one = instance()
    await archive.add([one])
    await archive.delete("1.1")
    assert await archive.add([one]) == ["new"]  # nobody had claimed it
    assert await archive.freed() == []
    await archive.delete("1.1")
    assert await archive.freed() == [one.blob]
    assert await archive.freed() == []  # claimed
    assert await archive.add([one]) == ["again"]
    assert await archive.add([one], verified=True) == ["again"]
    await archive.dropped([one.blob])
    assert await archive.add([one]) == ["again"]
    assert await archive.add([one], verified=True) == ["new"]
    assert await archive.add([one]) == ["same"]


async def test_an_orphan_that_is_being_deleted_stays_claimed(archive: Archive) -> None:
    """Else who brings it again relies on a blob that is deleted in the next moment."""
    one = instance()
    await archive.free([one.blob])
    assert await archive.freed() == [one.blob]
    await archive.free([one.blob])  # found a second time
    assert await archive.add([one]) == ["again"]
    assert await archive.freed() == []
    await archive.dropped([one.blob])
    await archive.free([one.blob])
    assert await archive.freed() == [one.blob]


async def test_a_blob_of_two_rows_is_freed_with_the_last(archive: Archive) -> None:
    one = instance()
    other = instance("2.2", "2.2.2", "2.2.2.2")
    shared = replace(other, blob=one.blob)
    await archive.add([one, shared])
    await archive.delete("1.1")
    assert await archive.freed() == []
    await archive.free([one.blob])
    assert await archive.freed() == []
    await archive.delete("2.2")
    assert await archive.freed() == [one.blob]


async def test_orphans_are_freed(archive: Archive) -> None:
    await archive.add([instance()])
    await archive.free(["ab" * 32])
    assert await archive.freed() == ["ab" * 32]
    assert [digest async for digest in archive.blobs()] == [instance().blob]


async def test_the_projection_hears_of_changes(archive: Archive) -> None:
    assert await archive.changed() == []
    await archive.add([instance()])
    await archive.add([instance("2.2", "2.2.1", "2.2.1.1")])
    first, second = await archive.changed()
    assert (first.study, second.study) == ("1.1", "2.2")
    assert first.instances == 1
    assert await archive.changed(1) == [first]
    await archive.projected("1.1", first.revision, "s1", "Patient/1")
    assert await archive.changed() == [second]
    await archive.add([instance(uid="1.1.1.2")])
    last = (await archive.changed())[1]
    assert isinstance(last, Changed)
    assert (last.study, last.imaging_study, last.subject) == ("1.1", "s1", "Patient/1")
    assert last.revision > first.revision
    await archive.projected("1.1", first.revision, "s1", "Patient/2")  # late
    assert [one.study for one in await archive.changed()] == ["2.2", "1.1"]
    await archive.projected("1.1", last.revision, "s1", "Patient/2")
    await archive.delete("1.1")
    gone = (await archive.changed())[1]
    assert (gone.study, gone.instances, gone.subject) == ("1.1", 0, "Patient/2")
    study = await archive.study("1.1")
    assert study is not None
    assert study.projected == last.revision < gone.revision


async def test_headers_come_with_their_instances_in_order(archive: Archive) -> None:
    instances = [
        instance(series=f"1.1.{series}", uid=f"1.1.{series}.{number:03}", t00200013=number)
        for series in (2, 1)
        for number in range(70)
    ]
    await archive.add(instances)
    found = [one async for one in archive.headers("1.1")]
    assert [held.instance for held, _ in found] == sorted(one.instance for one in instances)
    assert {one.instance: one.header for one in instances} == {
        held.instance: body for held, body in found
    }
    assert [held.number for held, _ in found] == [*range(70), *range(70)]
    some = [held.instance async for held, _ in archive.headers("1.1", ["1.1.2"], ["1.1.2.005"])]
    assert some == ["1.1.2.005"]
    by_uid = await archive.held_by_uid(["1.1.1.000", "1.1.2.069", "9"])
    assert sorted(held.instance for held in by_uid) == ["1.1.1.000", "1.1.2.069"]
    assert header(t00200013=1)["00200013"] == {"vr": "IS", "Value": [1]}


@pytest.mark.parametrize("kind", EVERY_KIND)
async def test_several_processes_write_one_study(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Opened twice, as two processes have it: no instance or series is lost in the numbers."""
    if kind in ON_MONGODB:
        request.getfixturevalue("on_wire")
    async with opened(kind, tmp_path) as one, opened(kind, tmp_path) as other:

        async def send(archive: Archive, thread: int) -> None:
            for number in range(8):
                made = instance(series=f"1.1.{number % 4}", uid=f"1.1.{thread}.{number}")
                assert await archive.add([made]) == ["new"]
            await archive.delete("1.1", f"1.1.{7 % 4}", f"1.1.{thread}.7")

        archives = [one, other, one, other]
        await asyncio.gather(*(send(archive, n) for n, archive in enumerate(archives)))
        for archive in (one, other):
            study = await archive.study("1.1")
            assert study is not None
            assert (study.series, study.instances) == (4, 28)
            assert [found.instances for found in await archive.series("1.1")] == [8, 8, 8, 4]
            assert await archive.count() == (1, 4, 28)
