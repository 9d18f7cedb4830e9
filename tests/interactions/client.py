"""Asks the gate by method and URL, as the REST edge does."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from stores import open_store

from fhirserver.access.authority import Authority
from fhirserver.access.grant import OPEN
from fhirserver.definitions.packaged import packaged
from fhirserver.interactions.context import Context, Policy
from fhirserver.interactions.dispatch import Gate
from fhirserver.interactions.operation import OperationRow
from fhirserver.interactions.query import query_pairs
from fhirserver.interactions.request import Answer, Request
from fhirserver.interactions.route import BUNDLE, bundle_interaction, route
from fhirserver.interactions.seal import AesSealer
from fhirserver.jobs.table import JobTable
from fhirserver.model.json import Resource, decode
from fhirserver.search.index import Indexer

BASE = "http://example.org/fhir"

KEY = bytes(32)


@asynccontextmanager
async def open_context(path: Path, policy: Policy | None = None) -> AsyncIterator[Context]:
    """What the gate works with: the store of the file, with an id from a counter for each new."""
    numbers = count(1)
    job_numbers = count(1)
    store = await open_store(path, now)
    try:
        yield Context(
            concepts=store.concepts,
            store=store,
            definitions=packaged(),
            indexer=_indexer(),
            policy=policy or Policy(),
            sealer=AesSealer(KEY, now=now, random=os.urandom),
            now=now,
            new_id=lambda: f"new-{next(numbers)}",
            jobs=JobTable(store.records, now=now, new_id=lambda: f"job-{next(job_numbers)}"),
            access=Authority(store, store.records, now),
        )
    finally:
        await store.close()


def now() -> int:
    return time.time_ns() // 1000


@cache
def _indexer() -> Indexer:
    return Indexer(packaged(), "all")


class Client:
    """One caller. URLs are relative to the base, or absolute as links are."""

    def __init__(self, context: Context, operations: Sequence[OperationRow] = ()) -> None:
        self.context = context
        self.gate = Gate(context, operations)

    async def ask(self, method: str, url: str, **more: Any) -> Answer:
        """The answer; `more` are further fields of the `Request`. Raises what the gate raises."""
        path, _, query = url.removeprefix(BASE).lstrip("/").partition("?")
        found = route(method, path, self.context.definitions)
        interaction = found.interaction
        if interaction == BUNDLE:
            interaction = bundle_interaction(more.get("resource"))
        request = Request(
            interaction,
            BASE,
            type=found.type,
            id=found.id,
            version=found.version,
            compartment=found.compartment,
            parameters=query_pairs(query),
            **{"grant": OPEN} | more,
        )
        return await self.gate.dispatch(request)

    async def get(self, url: str, **more: Any) -> Resource:
        """The resource that a GET answers with."""
        answer = await self.ask("GET", url, **more)
        assert answer.status == 200
        assert answer.body is not None
        found: Resource = decode(answer.body)
        return found

    async def call(self, url: str, *parameters: Resource, **more: Any) -> Resource:
        """The resource that an operation answers with, sent Parameters by POST."""
        sent = {"resourceType": "Parameters", "parameter": list(parameters)}
        answer = await self.ask("POST", url, resource=sent, **more)
        assert answer.status == 200
        found: Resource = decode(answer.body or b"")
        return found

    async def put(self, *resources: Resource) -> None:
        """Creates or updates resources under their own ids."""
        for resource in resources:
            url = f"{resource['resourceType']}/{resource['id']}"
            await self.ask("PUT", url, resource=resource)

    async def delete(self, url: str) -> None:
        await self.ask("DELETE", url)


def ids(searchset: Resource, mode: str = "match") -> list[str]:
    """`Type/id` of the entries of a mode, in their order."""
    return [
        f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in searchset.get("entry", ())
        if entry["search"]["mode"] == mode
    ]


def link(bundle: Resource, relation: str) -> str | None:
    """The URL of a link of a bundle, if it has it."""
    return next(
        (item["url"] for item in bundle.get("link", ()) if item["relation"] == relation), None
    )
