"""Who steals the files of a store, or all documents of its database, reads no name in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bson
import httpx2
import pytest
import stores
from pymongo import MongoClient
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)
from serving import client
from stores import url_of

from fhirserver.app import whole_store
from fhirserver.settings import Settings
from fhirserver.store.mongo import connection
from fhirserver.store.mongo.connection import client_options
from fhirserver.store.records import ABSENT

PLANTED = (
    "quillfeather",  # family name
    "zebulona",  # given name
    "987-65-4320",  # SSN
    "5550107734",  # telephone
    "marzipan",  # street
    "xylographer",  # word of a narrative
    "wolframsson",  # word of a note, and of a display
    "mrn-77001",  # identifier of a logical reference
    "1953-02-11",  # date of birth, where it is hashed
    "vexillary",  # name of an account
    "oblongata",  # text of a code
    "thornbury",  # contained person
)

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "text": {
        "status": "generated",
        "div": '<div xmlns="http://www.w3.org/1999/xhtml">A xylographer by trade</div>',
    },
    "identifier": [{"system": "http://hl7.org/fhir/sid/us-ssn", "value": "987-65-4320"}],
    "name": [{"family": "Quillfeather", "given": ["Zebulona"]}],
    "telecom": [{"system": "phone", "value": "+1 555 010-7734"}],
    "address": [{"line": ["12 Marzipan Lane"], "city": "Marzipan"}],
    "birthDate": "1953-02-11",
    "gender": "female",
    "contact": [{"name": {"family": "Wolframsson"}}],
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}], "text": "Oblongata"},
    "subject": {"reference": "Patient/p1", "display": "Zebulona Quillfeather"},
    "performer": [{"identifier": {"system": "urn:mrn", "value": "MRN-77001"}}],
    "note": [{"text": "Seen by Doctor Wolframsson"}],
    "valueString": "Quillfeather said so",
    "contained": [
        {"resourceType": "Practitioner", "id": "c1", "name": [{"family": "Thornbury"}]},
    ],
    "hasMember": [],
}
del OBSERVATION["hasMember"]
OBSERVATION["performer"].append({"reference": "#c1"})

SEARCHES = (
    ("Patient?family=Quill", 1),
    ("Patient?name=zebu", 1),
    ("Patient?name:exact=Quillfeather", 1),
    ("Patient?identifier=http://hl7.org/fhir/sid/us-ssn|987-65-4320", 1),
    ("Patient?identifier=987-65-4320&gender=female", 1),
    ("Patient?phone=15550107734", 0),
    ("Patient?phone=%2B15550107734", 1),
    ("Patient?address=marzipan", 1),
    ("Patient?birthdate=1953-02-11", 1),
    ("Patient?birthdate=1953", 1),
    ("Patient?birthdate=1954", 0),
    ("Patient?_text=xylographer", 1),
    ("Patient?_content=quillfeather", 1),
    ("Observation?code=8480-6&patient.family=quillfeather", 1),
    ("Observation?_content=wolframsson", 1),
    ("Observation?code:text=oblong", 1),
    ("Observation?performer:identifier=urn:mrn|MRN-77001", 1),
    ("Patient?_has:Observation:patient:code=8480-6&family:exact=Quillfeather", 1),
    ("Patient?_sort=family,-birthdate", 1),
    ("Patient?name=nobody", 0),
)


async def _use(server: httpx2.AsyncClient) -> None:
    """Writes, searches, changes and deletes."""
    for resource in (PATIENT, OBSERVATION):
        url = f"/fhir/{resource['resourceType']}/{resource['id']}"
        assert (await server.put(url, json=resource)).status_code == 201
    for query, count in SEARCHES:
        answer = await server.get(f"/fhir/{query}", params=None)
        assert answer.status_code == 200, (query, answer.text)
        assert len(answer.json().get("entry", ())) == count, query
    changed = {**PATIENT, "active": True}
    assert (await server.put("/fhir/Patient/p1", json=changed)).status_code == 200
    conditional = {"If-None-Exist": "identifier=987-65-4320"}
    again = {name: value for name, value in PATIENT.items() if name != "id"}
    assert (await server.post("/fhir/Patient", json=again, headers=conditional)).status_code == 200
    assert (await server.put("/fhir/Patient/p2", json={**PATIENT, "id": "p2"})).status_code == 201
    assert (await server.delete("/fhir/Patient/p2")).status_code == 204
    read = await server.get("/fhir/Patient/p1/_history/1")
    assert read.json()["name"] == PATIENT["name"]


async def _keep_records(data: Path, settings: dict[str, Any]) -> None:
    async with whole_store(Settings(data=data, auth="none", **settings)) as store:
        await store.records.put("identity.name", "vexillary", b"vexillary", expected=ABSENT)
        await store.records.put("identity.account", "1", b'{"name":"vexillary"}')
        found = await store.records.get("identity.name", "vexillary")
        assert found is not None
        assert (found.key, found.body) == ("vexillary", b"vexillary")


@contextmanager
def _loot(data: Path) -> Iterator[dict[str, bytes]]:
    """All that can be stolen, in small letters: files, and documents as BSON."""
    found = {str(path): path.read_bytes().lower() for path in data.rglob("*") if path.is_file()}
    if url := url_of(data):
        from bson.raw_bson import RawBSONDocument

        stolen: MongoClient[Any] = MongoClient(url, document_class=RawBSONDocument)
        database = stolen.get_default_database()
        for name in database.list_collection_names():
            documents = list(database[name].find())
            found[name] = b"\n".join(bytes(one.raw) for one in documents).lower()
        stolen.close()
    yield found


def _seen(loot: dict[str, bytes]) -> set[str]:
    every = b"\n".join(loot.values())
    return {word for word in PLANTED if word.encode() in every or word[::-1].encode() in every} - {
        ""
    }


async def _seen_in(data: Path, settings: dict[str, Any]) -> set[str]:
    store = {"store": url} if (url := url_of(data)) else {}
    async with client(data, **settings) as server:
        await _use(server)
        with _loot(data) as loot:  # while it runs: log and shared memory of SQLite as well
            seen = _seen(loot)
    await _keep_records(data, settings | store)
    with _loot(data) as loot:
        return seen | _seen(loot)


@pytest.mark.check("OPS-5")
@pytest.mark.check("OPS-6")
async def test_no_planted_name_is_in_what_is_stored(
    each_store: str, tmp_path: Path, encrypted: dict[str, Any]
) -> None:
    settings = {**encrypted, "encryption_fields": ("birthdate",), "audit": "on"}
    assert await _seen_in(tmp_path / "data", settings) == set()


async def test_the_names_are_there_without_encryption(each_store: str, tmp_path: Path) -> None:
    assert await _seen_in(tmp_path / "data", {}) == set(PLANTED)


class _Tap(CommandListener):
    """All that is said to the database, in small letters. What is not said cannot be in its files,
    its journal or its oplog."""

    def __init__(self) -> None:
        self.said: list[bytes] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.said.append(bson.encode(event.command).lower())

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


@pytest.fixture
def on_mongodb(wire: Any) -> Iterator[None]:
    with stores.on_mongodb(wire.address()):
        yield


@pytest.fixture
def tap(monkeypatch: pytest.MonkeyPatch) -> _Tap:
    found = _Tap()

    def tapped(url: str) -> dict[str, Any]:
        return client_options(url) | {"event_listeners": [found]}

    monkeypatch.setattr(connection, "client_options", tapped)
    return found


async def _said(data: Path, settings: dict[str, Any], tap: _Tap) -> set[str]:
    async with client(data, **settings) as server:
        await _use(server)
    await _keep_records(data, settings | {"store": url_of(data)})
    assert len(tap.said) > 20
    return _seen({"said": b"\n".join(tap.said)})


@pytest.mark.mongodb
@pytest.mark.check("OPS-6")
async def test_no_planted_name_is_said_to_the_database(
    on_mongodb: None, tmp_path: Path, encrypted: dict[str, Any], tap: _Tap
) -> None:
    settings = {**encrypted, "encryption_fields": "birthdate", "audit": "on"}
    assert await _said(tmp_path / "data", settings, tap) == set()


@pytest.mark.mongodb
async def test_the_names_are_said_without_encryption(
    on_mongodb: None, tmp_path: Path, tap: _Tap
) -> None:
    assert await _said(tmp_path / "data", {}, tap) == set(PLANTED)
