"""What tests of stores share: a clock, and servers of MongoDB's protocol."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

import pytest
from store.making import Clock
from wire.server import BACKENDS, Absent, server

from fhirserver.store.mongo.connection import Connection
from fhirserver.store.mongo.indexes import create


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def wire() -> Iterator[dict[str, str]]:
    """The address of a server for each back end, started when first asked for."""
    with ExitStack() as stack:
        yield _Servers(stack)


class _Servers(dict[str, str]):
    def __init__(self, stack: ExitStack) -> None:
        super().__init__()
        self._stack = stack

    def __missing__(self, backend: str) -> str:
        try:
            self[backend] = self._stack.enter_context(server(backend))
        except Absent as absent:
            pytest.skip(str(absent))
        return self[backend]


@asynccontextmanager
async def fresh_database(address: str) -> AsyncIterator[str]:
    """A database with all indexes, which is dropped at the end."""
    base, _, options = address.partition("?")
    name = f"fhirserver_test_{uuid.uuid4().hex[:12]}"
    url = f"{base.rstrip('/')}/{name}" + (f"?{options}" if options else "")
    connection = Connection(url)
    try:
        async for _ in create(connection.database):
            pass
        yield url
        await connection.client.drop_database(name)
    finally:
        await connection.close()


@pytest.fixture
async def place(wire: dict[str, str]) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """Makes fresh databases, which are dropped at the end."""
    async with AsyncExitStack() as stack:

        async def fresh(backend: str) -> str:
            return await stack.enter_async_context(fresh_database(wire[backend]))

        yield fresh


@pytest.fixture(scope="module", params=BACKENDS)
def mongo_database(request: pytest.FixtureRequest, wire: dict[str, str]) -> Iterator[str]:
    """The URL of a database with all indexes, on each back end."""
    with asyncio.Runner() as runner:
        database = fresh_database(wire[request.param])
        yield runner.run(database.__aenter__())
        runner.run(database.__aexit__(None, None, None))
