"""The outcome of a transaction does not depend on the order of its entries."""

import asyncio
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interactions.bundles import entry, quick_folder, send, transaction
from interactions.client import Client, open_context

from fhirserver.errors import FhirError
from fhirserver.model.json import Json, Resource, encode


def patient(number: int, **more: Json) -> Resource:
    identifier = [{"system": "s", "value": str(number)}]
    out: Resource = {"resourceType": "Patient", "identifier": identifier}
    return out | more


def observation(subject: str, **more: Json) -> Resource:
    out: Resource = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    return out | {"subject": {"reference": subject}} | more


NUMBERS = st.integers(0, 3)
SUBJECTS = st.one_of(
    NUMBERS.map("urn:uuid:{}".format),
    NUMBERS.map("Patient?identifier=s|{}".format),
    NUMBERS.map("Patient/p{}".format),
    NUMBERS.map("urn:uuid:{}/_history/9".format),
)
ENTRIES = st.one_of(
    NUMBERS.map(lambda n: entry("POST", "Patient", patient(n, active=True), f"urn:uuid:{n}")),
    NUMBERS.map(
        lambda n: entry(
            "POST", "Patient", patient(n), f"urn:uuid:{n}", ifNoneExist=f"identifier=s|{n}"
        )
    ),
    NUMBERS.map(lambda n: entry("PUT", f"Patient/p{n}", patient(n, id=f"p{n}"), f"urn:uuid:{n}")),
    NUMBERS.map(lambda n: entry("PUT", f"Patient/p{n}", patient(n + 1, id=f"p{n}"))),
    NUMBERS.map(lambda n: entry("PUT", f"Patient?identifier=s|{n}", patient(n), f"urn:uuid:{n}")),
    NUMBERS.map(lambda n: entry("DELETE", f"Patient/p{n}")),
    NUMBERS.map(lambda n: entry("DELETE", f"Patient?identifier=s|{n}")),
    SUBJECTS.map(lambda url: entry("POST", "Observation", observation(url))),
    SUBJECTS.map(lambda url: entry("PUT", "Observation/o0", observation(url, id="o0"))),
    NUMBERS.map(lambda n: entry("GET", f"Patient?identifier=s|{n}")),
)
BEFORE = st.lists(st.builds(lambda n, m: patient(m, id=f"p{n}"), NUMBERS, NUMBERS), max_size=3)


async def outcome(before: list[Resource], entries: list[Json]) -> list[str] | None:
    """What the store holds afterwards, told without ids of the server; None for a refusal."""
    with quick_folder() as folder:
        async with open_context(Path(folder) / "fhir.db") as context:
            client = Client(context)
            await client.put(*before)
            try:
                await send(client, transaction(*entries))
            except FhirError as error:
                assert error.status < 500
                return None
            return await _canonical(client)


async def _canonical(client: Client) -> list[str]:
    versions = [version async for version in client.context.store.scan()]
    resources = [await client.get(f"{item.type}/{item.id}") for item in versions]
    names = {
        f"Patient/{item['id']}": f"Patient/<{encode(item['identifier']).decode()}>"
        for item in resources
        if item["resourceType"] == "Patient" and item["id"].startswith("new-")
    }
    told = []
    for item in resources:
        item["meta"].pop("lastUpdated")
        if item["id"].startswith("new-"):
            item["id"] = "new"
        link, _, version = item.get("subject", {}).get("reference", "").partition("/_history/")
        if link in names:
            item["subject"] = {"reference": names[link] + version}
        told.append(encode(dict(sorted(item.items()))).decode())
    return sorted(told)


@given(BEFORE, st.lists(ENTRIES, min_size=2, max_size=5), st.randoms(use_true_random=False))
def test_any_order_has_the_same_outcome(
    before: list[Resource], entries: list[Json], random: Random
) -> None:
    shuffled = entries.copy()
    random.shuffle(shuffled)

    async def both() -> None:
        assert await outcome(before, entries) == await outcome(before, shuffled)

    asyncio.run(both())


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(BEFORE, st.lists(ENTRIES, min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_any_order_has_the_same_outcome_at_length(
    before: list[Resource], entries: list[Json], random: Random
) -> None:
    shuffled = entries.copy()
    random.shuffle(shuffled)

    async def both() -> None:
        assert await outcome(before, entries) == await outcome(before, shuffled)

    asyncio.run(both())
