"""Nothing of what was expunged can be found in the file, its log, or anywhere beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
from store.making import Clock, put, removal

from fhirserver.definitions.packaged import packaged
from fhirserver.model.json import Resource
from fhirserver.search.index import Indexer
from fhirserver.store.port import Change, Expunge
from fhirserver.store.sqlite import SqliteStore, concept_writer

PLANTED = "Xanthippe"
ELSEWHERE = "https://elsewhere.example/fhir/Patient/xanthippe"


def _patient(id: str, name: str, version: int = 1, **more: object) -> Change:
    narrative = f'<div xmlns="http://www.w3.org/1999/xhtml">{name} of Athens</div>'
    resource: Resource = {
        "text": {"status": "generated", "div": narrative},
        "identifier": [{"system": "http://x", "value": f"{name}-{id}"}],
        "name": [{"family": name, "given": [f"{name}a"]}],
        "contained": [
            {"resourceType": "Practitioner", "id": name, "name": [{"family": f"{name}c"}]},
            {"resourceType": "Organization", "id": f"{name}o", "name": f"{name} & Sons"},
        ],
        "generalPractitioner": [{"reference": f"#{name}"}],
        "address": [{"city": f"{name}polis"}],
        "managingOrganization": {"reference": f"#{name}o"},
        "link": [{"other": {"reference": f"https://elsewhere.example/fhir/Patient/{name}"}}],
        **more,
    }
    whole = {"resourceType": "Patient", "id": id, **resource}
    entries = Indexer(packaged(), "all").entries(whole, "http://example.org/fhir")
    return put("Patient", id, version, entries, **resource)


def _found(folder: Path) -> list[str]:
    """The files in which the name stands, in any spelling."""
    return [
        file.name
        for file in sorted(folder.iterdir())
        if PLANTED.lower().encode() in file.read_bytes().lower()
    ]


@pytest.mark.parametrize("others", [0, 3, 300], ids=["alone", "with a few", "among many"])
async def test_nothing_is_left_of_a_deleted_resource(tmp_path: Path, others: int) -> None:
    store = SqliteStore.open(tmp_path / "fhir.db", clock=Clock())
    crowd = [_patient(f"p{number}", f"Xa{number:03}nthias") for number in range(others)]
    crowd.insert(others // 2, _patient("x", PLANTED))
    for start in range(0, len(crowd), 50):
        await store.commit(crowd[start : start + 50])
    await store.commit([removal("Patient", "x", 2)])
    assert _found(tmp_path)
    assert await store.expunge(Expunge("Patient", "x", deleted=True)) == 2
    assert _found(tmp_path) == []
    assert await store.counts() == ({"Patient": others} if others else {})
    await store.close()


@pytest.mark.parametrize("others", [0, 300], ids=["alone", "among many"])
async def test_nothing_is_left_of_a_previous_version(tmp_path: Path, others: int) -> None:
    store = SqliteStore.open(tmp_path / "fhir.db", clock=Clock())
    await store.commit([_patient("x", PLANTED, photo=[{"title": PLANTED * 2000}])])
    crowd = [_patient(f"p{number}", f"Xa{number:03}nthias") for number in range(others)]
    for start in range(0, others, 50):
        await store.commit(crowd[start : start + 50])
    await store.commit([_patient("x", "Diotima", 2)])
    assert _found(tmp_path)
    assert await store.expunge(Expunge(previous=True)) == 1
    assert _found(tmp_path) == []
    await store.close()


async def test_a_reader_in_the_way_holds_up_the_log_and_nothing_else(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "fhir.db", clock=Clock())
    await store.commit([_patient("x", PLANTED)])
    await store.commit([removal("Patient", "x", 2)])
    other = SqliteStore.open(tmp_path / "fhir.db", clock=Clock())
    with other._reader.connection.snapshot():
        other._reader.read("Patient", "x", 1)
        assert await store.expunge(Expunge(deleted=True)) == 2
        assert _found(tmp_path)
    assert await store.expunge(Expunge(deleted=True)) == 0
    assert _found(tmp_path) == []
    await other.close()
    await store.close()


@pytest.mark.parametrize("small", [-1, 20_000], ids=["that goes later", "that goes at once"])
async def test_nothing_is_left_of_the_concepts_of_a_code_system(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr(concept_writer, "_SMALL", small)
    store = SqliteStore.open(tmp_path / "fhir.db", clock=clock)
    whole = {"url": "http://x", "content": "complete"}
    concept = [{"code": "x", "display": PLANTED}]
    await store.commit([put("CodeSystem", "x", **whole, concept=concept)])
    await store.commit([removal("CodeSystem", "x", 2)])
    await store.expunge(Expunge("CodeSystem", "x", deleted=True))
    found = _found(tmp_path)
    await store.close()
    assert found == []
