"""Who comes at the same time: over many tasks, and over several stores on one file."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from interactions.bundles import address, batch, entry, send, transaction
from interactions.client import Client, open_context

from fhirserver.errors import FhirError
from fhirserver.interactions.context import Context, Policy
from fhirserver.model.json import Json, Resource

RACERS = 64
ONE = (("identifier", "s|1"),)
KNOWN: Resource = {"resourceType": "Patient", "identifier": [{"system": "s", "value": "1"}]}
ANNA: Resource = {"resourceType": "Patient", "id": "anna", "active": True}


@pytest.fixture(params=[1, 4])
async def clients(
    request: pytest.FixtureRequest, tmp_path: Path, each_store: str
) -> AsyncIterator[list[Client]]:
    """As many clients as there are racers, spread over one or several stores on one file."""
    async with AsyncExitStack() as stack:
        found = []
        for number in range(request.param):
            policy = Policy(conditional_delete="multiple")
            context = await stack.enter_async_context(open_context(tmp_path / "fhir.db", policy))
            found.append(Client(_with_ids(context, f"{number}-")))
        yield [found[index % len(found)] for index in range(RACERS)]


def _with_ids(context: Context, prefix: str) -> Context:
    numbers = count(1)
    return replace(context, new_id=lambda: f"{prefix}{next(numbers)}")


async def outcomes(racers: list[Awaitable[Json]]) -> Counter[int]:
    """How many answers there were of each status."""
    found = await asyncio.gather(*racers, return_exceptions=True)
    for item in found:
        if isinstance(item, BaseException) and not isinstance(item, FhirError):
            raise item
    return Counter(item.status for item in found)


async def test_racing_conditional_creates_make_one_resource(clients: list[Client]) -> None:
    racers = [
        client.ask("POST", "Patient", resource=KNOWN, if_none_exist=ONE) for client in clients
    ]
    assert await outcomes(racers) == {201: 1, 200: RACERS - 1}
    assert (await clients[0].get("Patient"))["total"] == 1


async def test_racing_conditional_updates_make_one_resource(clients: list[Client]) -> None:
    racers = [client.ask("PUT", "Patient?identifier=s|1", resource=KNOWN) for client in clients]
    assert await outcomes(racers) == {201: 1, 200: RACERS - 1}
    assert (await clients[0].get("_history"))["total"] == 1


async def test_racing_transactions_make_one_resource(clients: list[Client]) -> None:
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "urn:uuid:p"},
    }
    bundle = transaction(
        entry("POST", "Patient", KNOWN, "urn:uuid:p", ifNoneExist="identifier=s|1"),
        entry("POST", "Observation", observation),
    )
    found = await asyncio.gather(*(send(client, bundle) for client in clients))
    assert len({address(patient) for patient, _ in found}) == 1
    assert await clients[0].context.store.counts() == {"Patient": 1, "Observation": RACERS}
    search = await clients[0].get(f"Observation?subject={address(found[0][0])}&_summary=count")
    assert search["total"] == RACERS


async def test_of_racing_updates_of_one_version_one_wins(clients: list[Client]) -> None:
    await clients[0].put(ANNA)
    racers = [
        client.ask(
            "PUT",
            "Patient/anna",
            resource=ANNA | {"name": [{"family": str(number)}]},
            if_match='W/"1"',
        )
        for number, client in enumerate(clients)
    ]
    assert await outcomes(racers) == {200: 1, 412: RACERS - 1}
    assert (await clients[0].ask("GET", "Patient/anna")).version == 2


async def test_racing_updates_are_all_made_one_after_the_other(clients: list[Client]) -> None:
    racers = [
        client.ask("PUT", "Patient/anna", resource=ANNA | {"name": [{"family": str(number)}]})
        for number, client in enumerate(clients)
    ]
    assert await outcomes(racers) == {201: 1, 200: RACERS - 1}
    assert (await clients[0].ask("GET", "Patient/anna")).version == RACERS


async def test_racing_patches_lose_nothing(clients: list[Client]) -> None:
    await clients[0].put(ANNA | {"name": [{"family": "A"}]})
    racers = [
        client.ask(
            "PATCH",
            "Patient/anna",
            patch=[{"op": "add", "path": "/name/-", "value": {"family": str(number)}}],
        )
        for number, client in enumerate(clients)
    ]
    assert await outcomes(racers) == {200: RACERS}
    assert len((await clients[0].get("Patient/anna"))["name"]) == RACERS + 1


async def test_racing_creates_of_one_id_make_it_once(clients: list[Client]) -> None:
    racers = [
        client.ask("PUT", "Patient/anna", resource=ANNA, if_none_match="*") for client in clients
    ]
    assert await outcomes(racers) == {201: 1, 412: RACERS - 1}


async def test_racing_deletions_make_one_version(clients: list[Client]) -> None:
    await clients[0].put(ANNA)
    assert await outcomes([client.ask("DELETE", "Patient/anna") for client in clients]) == {
        204: RACERS
    }
    assert (await clients[0].get("Patient/anna/_history"))["total"] == 2


async def test_what_is_deleted_is_never_referred_to(clients: list[Client]) -> None:
    """Deletions with integrity race with writes that look whether the target is there."""
    policy = Policy(integrity_on_write=True)
    strict = [Client(replace(client.context, policy=policy)) for client in clients]
    for round_ in range(4):
        patient = f"Patient/p{round_}"
        await strict[0].put(ANNA | {"id": f"p{round_}"})
        observation = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "x"},
            "subject": {"reference": patient},
        }
        racers = [
            client.ask("DELETE", patient)
            if number == 8
            else client.ask("POST", "Observation", resource=observation)
            for number, client in enumerate(strict[:16])
        ]
        found = await outcomes(racers)
        left = (await strict[0].get(f"Observation?subject={patient}&_summary=count"))["total"]
        if found[204]:
            assert left == 0
        else:
            assert found[409] == 1
            assert left == found[201] == 15


async def test_racing_batches_keep_their_conditions(clients: list[Client]) -> None:
    create = entry("POST", "Patient", KNOWN, ifNoneExist="identifier=s|1")
    found = await asyncio.gather(*(send(client, batch(create, create)) for client in clients[:16]))
    assert len({address(item) for answers in found for item in answers}) == 1
