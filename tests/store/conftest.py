"""What tests of stores share: a clock, and servers of MongoDB's protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack

import pytest
from store.making import Clock
from wire.database import fresh_database
from wire.server import Absent, server

USUAL = ("memory", pytest.param("h2", marks=pytest.mark.slow))
"""The back ends of the wire; one of them in the usual run, both in the long one."""


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


@pytest.fixture
async def place(wire: dict[str, str]) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """Makes fresh databases, which are dropped at the end."""
    async with AsyncExitStack() as stack:

        async def fresh(backend: str) -> str:
            return await stack.enter_async_context(fresh_database(wire[backend]))

        yield fresh


@pytest.fixture(scope="module", params=USUAL)
def mongo_database(request: pytest.FixtureRequest, wire: dict[str, str]) -> Iterator[str]:
    """The URL of a database with all indexes, on each back end."""
    with asyncio.Runner() as runner:
        database = fresh_database(wire[request.param])
        yield runner.run(database.__aenter__())
        runner.run(database.__aexit__(None, None, None))
