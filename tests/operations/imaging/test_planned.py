"""Worklists searched by indexes tell what looking at every order tells."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from interactions.client import BASE, Client, open_context

from fhirserver.access.grant import SERVER
from fhirserver.definitions.search_parameter import search_parameter
from fhirserver.dicom.matching import Exactly, Item, Key, Range
from fhirserver.dicom.worklist.parameters import PARAMETERS
from fhirserver.errors import TooCostly
from fhirserver.interactions.context import Context
from fhirserver.interactions.dispatch import Gate
from fhirserver.interactions.request import Request
from fhirserver.model.json import Resource
from fhirserver.operations.imaging import worklist
from fhirserver.operations.imaging.table import IMAGING_ROWS
from fhirserver.operations.imaging.worklist import Wanted
from fhirserver.search.index import Indexer

DCM = "http://dicom.nema.org/resources/ontology/DCM"
ORDERS = 60
DAYS = 12
BEGIN = datetime(2026, 3, 1, 8, tzinfo=UTC)


def concept(code: str) -> Resource:
    return {"coding": [{"system": DCM, "code": code}]}


def orders(seed: int) -> list[Resource]:
    """Orders that tell when, where and by what in all the ways that there are."""
    chance = random.Random(seed)

    def when() -> str:
        found = BEGIN + timedelta(days=chance.randrange(DAYS), hours=chance.randrange(24))
        return found.isoformat()

    made: list[Resource] = [
        {"resourceType": "Patient", "id": "p"},
        {
            "resourceType": "Device",
            "id": "d",
            "identifier": [{"type": concept("110119"), "value": "MR1"}],
        },
    ]
    for number in range(ORDERS):
        order: Resource = {
            "resourceType": "ServiceRequest",
            "id": f"o{number}",
            "status": "active",
            "intent": "order",
            "category": [{"coding": [{"system": "http://snomed.info/sct", "code": "363679005"}]}],
            "subject": {"reference": "Patient/p"},
            "authoredOn": when(),
        }
        reference = {"reference": f"ServiceRequest/o{number}"}
        if chance.random() < 0.4:
            order["occurrenceDateTime"] = when()
        elif chance.random() < 0.3:
            order["occurrencePeriod"] = {"start": when(), "end": "2026-05-01"}
        if chance.random() < 0.3:
            order[chance.choice(["code", "detail"])] = concept(chance.choice(["CT", "MR"]))
            if "detail" in order:
                order["orderDetail"] = [order.pop("detail")]
                order["code"] = {"text": "x"}
        if chance.random() < 0.2:
            order["performer"] = [{"reference": "Device/d"}]
        made.append(order)
        steps = range(chance.choice([0, 0, 1, 2]))
        made += [_task(chance, f"t{number}-{step}", reference, when) for step in steps]
        if chance.random() < 0.2:
            made.append(
                {
                    "resourceType": "Appointment",
                    "id": f"a{number}",
                    "status": "booked",
                    "basedOn": [reference],
                    "start": (start := when()),
                    "end": start,
                    "participant": [
                        {"actor": {"reference": "Patient/p"}, "status": "accepted"},
                        {"actor": {"reference": "Device/d"}, "status": "accepted"},
                    ],
                }
            )
    return made


def _task(chance: random.Random, id: str, reference: Resource, when: Any) -> Resource:
    task: Resource = {
        "resourceType": "Task",
        "id": id,
        "status": chance.choice(["requested", "ready", "in-progress", "completed"]),
        "intent": "order",
        "basedOn": [reference],
    }
    if chance.random() < 0.5:
        task["restriction"] = {"period": {"start": when()}}
    elif chance.random() < 0.5:
        task["executionPeriod"] = {"start": when()}
    told = []
    if chance.random() < 0.6:
        value = concept(chance.choice(["CT", "MR"]))
        told.append({"type": concept("121139"), "valueCodeableConcept": value})
    if chance.random() < 0.5:
        told.append({"type": concept("110119"), "valueString": chance.choice(["CT1", "MR1"])})
    elif chance.random() < 0.3:
        task["owner"] = {"reference": "Device/d"}
    return task | ({"input": told} if told else {})


@pytest.fixture
async def contexts(tmp_path: Path) -> AsyncIterator[tuple[Context, Context]]:
    """One store, as its worklist is searched with our parameters, and without."""
    async with open_context(tmp_path / "fhir.db") as plain:
        own = [search_parameter(one, custom=True) for one in PARAMETERS]
        definitions = plain.definitions.with_search_parameters(own)
        indexed = replace(plain, definitions=definitions, indexer=Indexer(definitions))
        client = Client(indexed)
        for some in (0, 1, 2):
            types = [{"Patient", "Device"}, {"ServiceRequest"}, {"Task", "Appointment"}][some]
            await client.put(*(one for one in orders(7) if one["resourceType"] in types))
        yield indexed, replace(indexed, definitions=plain.definitions)


def step(*keys: Key) -> tuple[Key, ...]:
    return (Key("00400100", "SQ", Item(keys)),)


def day(low: str, high: str) -> Key:
    return Key("00400002", "DA", Range(low, high))


MODALITY = [Key("00080060", "CS", Exactly(code)) for code in ("CT", "MR", "OT", "US")]
STATION = [Key("00400001", "AE", Exactly(title)) for title in ("CT1", "MR1", "XX", "ASKS")]
DATES = [
    day("20260303", "20260303"),
    day("20260302", "20260305"),
    day("", "20260304"),
    day("20260309", ""),
    day("20270101", "20270101"),
]
KEYS = [
    *([key] for key in (*MODALITY, *STATION, *DATES)),
    [DATES[1], MODALITY[0]],
    [DATES[1], STATION[1]],
    [STATION[0], MODALITY[0]],
    [DATES[1], STATION[3], MODALITY[1]],
]


async def asked(context: Context, keys: tuple[Key, ...]) -> list[Any]:
    request = Request(
        "dicom-worklist", BASE, "ServiceRequest", imaging=Wanted(keys, "ASKS"), grant=SERVER
    )
    answer = await Gate(context, (), imaging=IMAGING_ROWS).dispatch(request)
    return sorted(
        (entry["00401001"]["Value"][0], repr(entry["00400100"])) for entry in answer.imaging
    )


async def test_indexes_find_what_looking_at_all_finds(contexts: tuple[Context, Context]) -> None:
    indexed, plain = contexts
    sizes = []
    for keys in KEYS:
        expected = await asked(plain, step(*keys))
        assert await asked(indexed, step(*keys)) == expected, keys
        sizes.append(len(expected))
    assert len([size for size in sizes if size]) > len(sizes) * 2 // 3, sizes


async def test_more_orders_than_are_looked_at_are_found_by_a_key(
    contexts: tuple[Context, Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed, plain = contexts
    monkeypatch.setattr(worklist, "_MOST", 40)
    keys = step(Key("00400002", "DA", Range("20260303", "20260303")))
    assert await asked(indexed, keys)
    with pytest.raises(TooCostly):
        await asked(plain, keys)
    with pytest.raises(TooCostly):
        await asked(indexed, ())
