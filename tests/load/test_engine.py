import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from fhirserver.load.engine import Load, Tally
from fhirserver.load.finding import Refusal
from fhirserver.load.journal import Journal
from fhirserver.load.source import sources
from fhirserver.load.target import Denied, Unreachable
from fhirserver.model.json import Resource


class Peer:
    """A target that keeps what is put; `bad` ids are refused, `needs` another id first."""

    def __init__(self) -> None:
        self.kept: dict[str, Resource] = {}
        self.sent: list[list[str]] = []
        self.bad: set[str] = set()
        self.needs: dict[str, str] = {}
        self.under_way = self.most = 0
        self.breaks_after = 10**9

    async def send(self, bundle: Resource) -> list[Denied]:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.01)
        self.under_way -= 1
        if len(self.sent) >= self.breaks_after:
            raise Unreachable("gone")
        urls = [entry["request"]["url"] for entry in bundle["entry"]]
        self.sent.append(urls)
        ids = [url.partition("/")[2] for url in urls]
        denied = [self._denied(index, id) for index, id in enumerate(ids)]
        found = [one for one in denied if one]
        if found and bundle["type"] == "transaction":
            return [Denied(None, found[0].status, found[0].text)]
        for one, entry, url in zip(denied, bundle["entry"], urls, strict=True):
            if one is None:
                self.kept[url] = entry["resource"]
        return found

    def _denied(self, index: int, id: str) -> Denied | None:
        if id in self.bad:
            return Denied(index, 422, "bad")
        if id in self.needs and f"Patient/{self.needs[id]}" not in self.kept:
            return Denied(index, 412, "missing")
        return None


class Seen:
    def __init__(self) -> None:
        self.size = 0
        self.refusals: list[Refusal] = []

    def advanced(self, size: int, loaded: int) -> None:
        self.size += size

    def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)


def put(folder: Path, name: str, *ids: str, type: str = "") -> Path:
    patients = [{"resourceType": "Patient", "id": id} for id in ids]
    if type:
        entries = [
            {"resource": one, "request": {"method": "PUT", "url": f"Patient/{one['id']}"}}
            for one in patients
        ]
        text = json.dumps({"resourceType": "Bundle", "type": type, "entry": entries})
    else:
        text = "\n".join(json.dumps(one) for one in patients)
    path = folder / (name + (".json" if type else ".ndjson"))
    path.write_text(text)
    return path


async def load(folder: Path, peer: Any, journal: Path | None = None, **more: int) -> Seen:
    seen = Seen()
    found, refused = sources([folder])
    assert not refused
    with Journal(journal) as done:
        loading = Load(peer, done, seen, **more)
        tally: Tally = await loading.run(found)
    assert tally.refused == len(seen.refusals)
    assert seen.size == sum(source.size for source in found)
    return seen


async def test_one_bad_resource_does_not_keep_its_group_out(tmp_path: Path) -> None:
    put(tmp_path, "a", *(f"p{number}" for number in range(300)))
    peer = Peer()
    peer.bad = {"p7", "p250"}
    seen = await load(tmp_path, peer)
    assert len(peer.kept) == 298
    assert {(one.position, one.resource) for one in seen.refusals} == {
        (7, "Patient/p7"),
        (250, "Patient/p250"),
    }
    assert len(peer.sent) < 40


async def test_a_refused_transaction_is_refused_whole(tmp_path: Path) -> None:
    put(tmp_path, "a", "p1", "p2", "p3", type="transaction")
    put(tmp_path, "b", "p4", type="transaction")
    peer = Peer()
    peer.bad = {"p2"}
    seen = await load(tmp_path, peer)
    assert set(peer.kept) == {"Patient/p4"}
    assert [(one.path.name, one.status) for one in seen.refusals] == [("a.json", 422)]


async def test_each_refused_entry_of_a_batch_is_told(tmp_path: Path) -> None:
    put(tmp_path, "a", "p1", "p2", "p3", type="batch")
    peer = Peer()
    peer.bad = {"p2"}
    seen = await load(tmp_path, peer)
    assert set(peer.kept) == {"Patient/p1", "Patient/p3"}
    assert [(one.position, one.resource) for one in seen.refusals] == [(1, "Patient/p2")]


async def test_what_waits_for_a_later_file_is_loaded_in_the_end(tmp_path: Path) -> None:
    put(tmp_path, "a", "p1", "p2", type="transaction")
    put(tmp_path, "b", "p3", "p4", "p5")
    put(tmp_path, "z", "p9", type="transaction")
    peer = Peer()
    peer.needs = {"p1": "p9", "p4": "p9", "p5": "never"}
    seen = await load(tmp_path, peer, tmp_path / "journal", in_flight=1)
    assert set(peer.kept) == {f"Patient/p{number}" for number in (1, 2, 3, 4, 9)}
    assert [(one.resource, one.status) for one in seen.refusals] == [("Patient/p5", 412)]


async def test_a_load_that_broke_off_goes_on_and_sends_nothing_twice(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for number in range(10):
        put(files, f"f{number}", f"p{number}", type="transaction")
    put(files, "g", *(f"q{number}" for number in range(450)))
    first = Peer()
    first.breaks_after = 6
    with pytest.raises(Unreachable):
        await load(files, first, tmp_path / "journal", in_flight=1)
    second = Peer()
    await load(files, second, tmp_path / "journal", in_flight=1)
    assert len(first.kept) == 6 and len(second.kept) == 454
    assert not first.kept.keys() & second.kept.keys()
    third = Peer()
    await load(files, third, tmp_path / "journal")
    assert third.sent == []


async def test_what_was_refused_is_tried_and_told_again_the_next_time(tmp_path: Path) -> None:
    put(tmp_path, "a", "p1", "p2", "p3")
    peer = Peer()
    peer.bad = {"p2"}
    await load(tmp_path, peer, tmp_path / "journal")
    again = Peer()
    again.bad = {"p2"}
    seen = await load(tmp_path, again, tmp_path / "journal")
    assert [one.resource for one in seen.refusals] == ["Patient/p2"]
    healed = Peer()
    assert (await load(tmp_path, healed, tmp_path / "journal")).refusals == []
    assert "Patient/p2" in healed.kept


async def test_several_units_are_under_way_but_never_two_that_put_the_same(tmp_path: Path) -> None:
    for number in range(12):
        put(tmp_path, f"f{number:02}", f"p{number}", type="transaction")
    peer = Peer()
    await load(tmp_path, peer, in_flight=3)
    assert peer.most == 3
    for number in range(12):
        put(tmp_path, f"f{number:02}", "same", f"p{number}", type="transaction")
    peer = Peer()
    await load(tmp_path, peer, in_flight=3)
    assert peer.most == 1
    assert [urls[1] for urls in peer.sent] == [f"Patient/p{number}" for number in range(12)]


async def test_a_broken_file_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.json.gz").write_bytes(b"\x1f\x8b\x08\x00broken")
    (tmp_path / "b.ndjson.gz").write_bytes(b"not packed")
    (tmp_path / "c.json").write_bytes(b"\xff\xfe")
    put(tmp_path, "d", "p1")
    peer = Peer()
    seen = await load(tmp_path, peer)
    assert {one.path.name for one in seen.refusals} == {"a.json.gz", "b.ndjson.gz", "c.json"}
    assert set(peer.kept) == {"Patient/p1"}
