"""What a commit, a read and a page of the MongoDB store cost: commands to the server, and
processor time of this process. Times of the server used are not shown: they are its own.

    python benchmarks/mongodb_commands.py mongodb://HOST/DATABASE    (a database with indexes)
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable

from pymongo import monitoring

from fhirserver.definitions.packaged import packaged
from fhirserver.model.resource import draft
from fhirserver.search.expression import Query, TokenIs, TokenValue
from fhirserver.search.index import Indexer
from fhirserver.store.mongo import MongoStore, connection
from fhirserver.store.port import Change, Expectation

ROUNDS = 200
SIZE = 100


class Commands(monitoring.CommandListener):
    """Counts what the driver sends."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.sent[event.command_name] += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...


def _observation(id: str) -> dict[str, object]:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "identifier": [{"system": "http://example.org", "value": id}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8302-2"}], "text": "Height"},
        "subject": {"reference": "Patient/1"},
        "effectiveDateTime": "2020-01-01",
        "valueQuantity": {
            "value": 180,
            "unit": "cm",
            "system": "http://unitsofmeasure.org",
            "code": "cm",
        },
    }


async def measure(url: str) -> None:
    """Prints a line for each kind of request."""
    commands = Commands()
    options = connection.client_options
    connection.client_options = lambda url: options(url) | {"event_listeners": [commands]}
    indexer = Indexer(packaged())
    clock = lambda: time.time_ns() // 1000  # noqa: E731
    store = await MongoStore.open(url, clock=clock, tenant=uuid.uuid4().hex)
    made: list[str] = []

    def change(version: int, id: str | None = None) -> Change:
        made.append(id or uuid.uuid4().hex)
        resource = _observation(made[-1])
        entries = indexer.entries(resource)
        body = draft(resource, made[-1], version)
        return Change("Observation", made[-1], version, "PUT", body, entries)

    ready: list[list[Change]] = []
    nobody = Expectation(("Observation",), TokenIs("code", (TokenValue(None, "none"),)), ())

    async def commit() -> None:
        await store.commit(ready.pop())

    async def conditional() -> None:
        await store.commit(ready.pop(), before=[nobody])

    async def read() -> None:
        await store.read("Observation", made[0])

    async def page() -> None:
        await store.search(Query(("Observation",), count=20))

    async def shown(name: str, ask: Callable[[], Awaitable[None]], rounds: int) -> None:
        await ask()
        commands.sent.clear()
        start = time.process_time()
        for _ in range(rounds):
            await ask()
        spent = (time.process_time() - start) / rounds * 1000
        told = ", ".join(f"{count / rounds:g} {name}" for name, count in commands.sent.items())
        print(f"{name:<28} {spent:7.2f} ms of CPU   {told}")

    ready += [[change(1)] for _ in range(ROUNDS + 1)]
    await shown("create", commit, ROUNDS)
    ids = made[:]
    ready += [[change(2, ids[n])] for n in range(ROUNDS + 1)]
    await shown("update", commit, ROUNDS)
    ready += [[change(1)] for _ in range(ROUNDS + 1)]
    await shown("conditional create", conditional, ROUNDS)
    rounds = 10 if store.atomic else 0
    ready += [[change(1) for _ in range(SIZE)] for _ in range(rounds + 1)]
    if rounds:
        await shown(f"transaction of {SIZE} creates", commit, rounds)
    await shown("read", read, ROUNDS)
    await shown("page of 20", page, ROUNDS)
    await store.close()


if __name__ == "__main__":
    asyncio.run(measure(sys.argv[1]))
