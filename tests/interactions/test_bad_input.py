"""Odd and hostile requests: always an answer or a refusal of the caller, never a failure.

Nothing is half-written either: a refused write leaves no version behind.
"""

import asyncio
import copy
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from interactions.bundles import batch, entry, quick_folder, send, transaction
from interactions.client import BASE, Client, open_context

from fhirserver.access.grant import OPEN
from fhirserver.errors import FhirError
from fhirserver.interactions.request import Request
from fhirserver.model.json import Json, Resource

ODD: list[Json] = [
    None, True, 0, -1, 10**30, "", " ", "x", "#", "?", "Patient?", "Patient?identifier=s|1",
    "Patient/p", "Patient/p/_history/1", "urn:uuid:1", "/", "%", "%zz", "$x", "_history", "\x00",
    "GET", "é", "a" * 300, [], [None], ["x"], [[]], {}, {"x": 1}, {"resourceType": "Patient"},
    {"resourceType": "Bundle"}, {"reference": "#"}, {"resourceType": "Patient", "id": 5},
]  # fmt: skip
PATIENT: Resource = {
    "resourceType": "Patient",
    "id": "p",
    "meta": {"tag": [{"code": "t"}]},
    "contained": [{"resourceType": "Organization", "id": "o", "name": "O"}],
    "identifier": [{"system": "s", "value": "1"}],
    "managingOrganization": {"reference": "#o"},
    "link": [{"other": {"reference": "urn:uuid:1"}, "type": "seealso"}],
}
PATCH: Resource = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": "add"},
                {"name": "path", "valueString": "Patient"},
                {"name": "name", "valueString": "active"},
                {"name": "value", "valueBoolean": True},
            ],
        }
    ],
}
ENTRIES = [
    entry("POST", "Patient", PATIENT, "urn:uuid:1", ifNoneExist="identifier=s|1"),
    entry("PUT", "Patient/p", PATIENT, "http://x.org/Patient/p", ifMatch='W/"1"'),
    entry("PUT", "Patient?identifier=s|1", PATIENT),
    entry("PATCH", "Patient/p", PATCH),
    entry("PATCH", "Patient/p", {"resourceType": "Binary", "contentType": "x", "data": "W10="}),
    entry("DELETE", "Patient/p"),
    entry("GET", "Patient/p", ifNoneMatch='W/"1"', ifModifiedSince="2020"),
    entry("GET", "Patient?identifier=s|1"),
]


def places(value: Json, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all values within a value."""
    found = [path]
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, child in items:
            found += places(child, (*path, key))
    return found


@st.composite
def damaged(draw: st.DrawFn, value: Json) -> Json:
    """The value with something odd in some places."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 2))):
        *way, last = draw(st.sampled_from(places(value)[1:] or [("x",)]))
        holder = value
        for key in way:
            holder = holder[key]
        odd = copy.deepcopy(draw(st.sampled_from(ODD)))
        if isinstance(holder, dict) and draw(st.booleans()):
            holder[draw(st.sampled_from(["x", "_x", "resourceType", "id", "reference"]))] = odd
        else:
            holder[last] = odd
    return value


def run(work: Any, *, validation: str) -> None:
    async def within() -> None:
        with quick_folder() as folder:
            async with open_context(Path(folder) / "fhir.db") as context:
                policy = replace(context.policy, validation=validation)
                client = Client(replace(context, policy=policy))
                await client.put(PATIENT)
                await _tried(client, work(client))

    asyncio.run(within())


async def _tried(client: Client, asked: Coroutine[Any, Any, Any]) -> None:
    before = (await client.get("_history?_count=0"))["total"]
    try:
        await asked
    except FhirError as error:
        assert error.status < 500, error.text
        assert (await client.get("_history?_count=0"))["total"] == before
    async for version in client.context.store.scan():
        assert (await client.ask("GET", f"{version.type}/{version.id}")).body == version.body


VALIDATION = st.sampled_from(["reject", "off"])


@given(st.lists(st.sampled_from(ENTRIES), min_size=1, max_size=3).flatmap(damaged), VALIDATION)
def test_odd_entries(entries: list[Json], validation: str) -> None:
    for kind in (batch, transaction):
        bundle = kind(*copy.deepcopy(entries))
        run(lambda client, sent=bundle: send(client, sent), validation=validation)


@given(damaged(PATIENT), VALIDATION, st.sampled_from(["POST Patient", "PUT Patient/p"]))
def test_odd_resources(resource: Json, validation: str, asked: str) -> None:
    method, url = asked.split()
    run(lambda client: client.ask(method, url, resource=resource), validation=validation)


@given(
    st.one_of(damaged(PATCH), damaged([{"op": "add", "path": "/active", "value": True}])),
    VALIDATION,
)
def test_odd_patches(patch: Json, validation: str) -> None:
    run(lambda client: client.ask("PATCH", "Patient/p", patch=patch), validation=validation)


@given(st.sampled_from(ODD), st.sampled_from(ODD), st.sampled_from(["batch", "transaction"]))
def test_odd_bundles(entries: Json, other: Json, type: str) -> None:
    bundle = {"resourceType": "Bundle", "type": type, "entry": entries, "x": other}

    async def ask(client: Client) -> None:
        await client.gate.dispatch(Request(type, BASE, resource=bundle, grant=OPEN))

    run(ask, validation="off")
