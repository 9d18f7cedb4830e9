"""SQLite and MongoDB give the same answers to some hundred searches over Synthea patients.

The patients are loaded into SQLite as the transactions that they are; the versions are then
carried over one by one, with their instants, since the wire's servers have no transactions.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from interactions.client import BASE, Client, link, open_context
from wire.database import fresh_database
from wire.server import BACKENDS

from fhirserver.interactions.context import Context
from fhirserver.model.json import decode
from fhirserver.model.resource import draft
from fhirserver.search.entry import Entries, Number, Quantity, Reference, String, Token, Uri
from fhirserver.store.mongo import MongoStore
from fhirserver.store.port import Change

BUNDLES = 4
AT_LEAST = 200

SHAPES = (
    "Patient?_sort=birthdate",
    "Patient?_sort=-birthdate,_id",
    "Patient?birthdate=lt1990-01-01&gender=male",
    "Patient?gender:not=male",
    "Patient?death-date:missing=true",
    "Patient?name:contains=e&_sort=family",
    "Patient?_has:Observation:patient:status=final",
    "Patient?_has:Condition:patient:clinical-status=resolved&_sort=-_lastUpdated",
    "Patient?_has:Encounter:patient:_has:Condition:encounter:clinical-status=resolved",
    "Observation?patient.gender=female&_sort=-date",
    "Observation?patient.birthdate=gt1980&_sort=code,-date",
    "Observation?subject:Patient.name=a&_count=7",
    "Observation?encounter.class=AMB&_sort=date",
    "Observation?value-quantity=gt100&_sort=value-quantity",
    "Observation?value-quantity=lt50||kg",
    "Observation?code-value-quantity=8302-2$gt100",
    "Observation?component-code-value-quantity=8480-6$gt110",
    "Observation?category=vital-signs&date=ge2015&_sort=-_lastUpdated",
    "Observation?_include=Observation:patient&_count=5",
    "Encounter?_revinclude=Condition:encounter&_count=5",
    "Encounter?date=sa2010-01-01&date=eb2018-01-01&_sort=-date",
    "Encounter?class:not=AMB&_sort=date",
    "Condition?onset-date=ge2000&code:text=sinus",
    "Condition?encounter.date=ge2010&_sort=-onset-date",
    "MedicationRequest?authoredon=ge2000&_sort=-authoredon",
    "Procedure?_lastUpdated=gt2000",
    "Organization?_sort=name",
    "Practitioner?name=a",
    "?_type=Patient,Observation&_lastUpdated=gt2000&_count=10",
)


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def both(
    backend: str, wire: dict[str, str], shared: Path, tmp_path: Path
) -> AsyncIterator[tuple[Client, Client]]:
    """The gate over SQLite, and over MongoDB with the same content."""
    files = sorted((shared / "data" / "synthea").glob("*.json.gz"), key=lambda p: p.stat().st_size)
    async with open_context(tmp_path / "fhir.db") as context, fresh_database(wire[backend]) as url:
        client = Client(context)
        for path in files[:BUNDLES]:
            bundle = decode(gzip.decompress(path.read_bytes()))
            await client.ask("POST", "", resource=bundle)
        instant = [0]
        store = await MongoStore.open(url, clock=lambda: instant[0])
        await _carry_over(context, store, instant)
        yield client, Client(replace(context, store=store))
        await store.close()


async def _carry_over(context: Context, store: MongoStore, instant: list[int]) -> None:
    async for version in context.store.scan():
        assert version.body is not None
        assert version.version == 1
        resource = decode(version.body)
        instant[0] = version.last_updated
        entries = context.indexer.entries(resource, BASE)
        body = draft(resource, version.id, 1)
        await store.commit([Change(version.type, version.id, 1, version.method, body, entries)])


async def _searches(context: Context) -> list[str]:
    """The shapes, and for many resources a search by a value that each has."""
    dice = random.Random(20)
    found = list(SHAPES)
    async for version in context.store.scan():
        assert version.body is not None
        resource = decode(version.body)
        parameters = context.indexer.parameters(version.type)
        entries = context.indexer.entries(resource, BASE)
        asked = [
            f"{version.type}?{urlencode({name: value}, quote_via=quote)}"
            for name, value in _values({n: e for n, e in entries.items() if n in parameters})
        ]
        found += dice.sample(asked, min(2, len(asked)))
    every = list(dict.fromkeys(found))
    return every[: len(SHAPES)] + dice.sample(every[len(SHAPES) :], 250)


def _values(entries: Entries) -> Iterable[tuple[str, str]]:
    for name, found in entries.items():
        for entry in found:
            match entry:
                case Token(system, code):
                    yield name, _escaped(f"{system}|{code}" if system else code)
                case String(folded, exact) if exact and len(folded) > 2:
                    yield name, _escaped(folded[:3])
                    yield f"{name}:exact", _escaped(exact)
                case Reference(type_, id_) if type_:
                    yield name, f"{type_}/{id_}"
                case Uri(value) if value:
                    yield name, _escaped(value)
                case Number(low, high) | Quantity(low, high) if low == high:
                    yield name, f"ge{low:g}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("$", "\\$").replace(",", "\\,")


async def _answers(client: Client, url: str) -> list[tuple[object, list[object]]]:
    """The totals and entries of the first pages."""
    out: list[tuple[object, list[object]]] = []
    following: str | None = url
    while following and len(out) < 3:
        page = await client.get(following)
        out.append((page.get("total"), page.get("entry", [])))
        following = link(page, "next")
    return out


@pytest.mark.slow
async def test_both_stores_give_the_same_answers(both: tuple[Client, Client]) -> None:
    sqlite, mongo = both
    urls = await _searches(sqlite.context)
    assert len(urls) >= AT_LEAST
    empty = 0
    for url in urls:
        expected = await _answers(sqlite, url)
        assert await _answers(mongo, url) == expected, url
        empty += not expected[0][1]
    assert empty < len(urls) / 10
    for url in islice(urls, 20):
        page = await mongo.get(url + "&_summary=count")
        assert page["total"] == (await sqlite.get(url + "&_summary=count"))["total"]
