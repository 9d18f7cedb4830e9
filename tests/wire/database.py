"""Databases with all indexes, for tests."""

from __future__ import annotations

import atexit
import uuid
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from wire.server import server

from fhirserver.store.mongo.connection import Connection
from fhirserver.store.mongo.indexes import create

_LASTING: dict[str, str] = {}


@asynccontextmanager
async def fresh_database(address: str) -> AsyncIterator[str]:
    """A database with all indexes, which is dropped at the end."""
    url = _url(address)
    connection = Connection(url)
    try:
        async for _ in create(connection.database):
            pass
        yield url
        await connection.client.drop_database(connection.place.database)
    finally:
        await connection.close()


async def lasting_database(backend: str) -> str:
    """The URL of one database that lasts as long as the process; its tenants tell tests apart."""
    if backend not in _LASTING:
        stack = ExitStack()
        atexit.register(stack.close)
        url = _url(stack.enter_context(server(backend)))
        connection = Connection(url)
        async for _ in create(connection.database):
            pass
        await connection.close()
        _LASTING[backend] = url
    return _LASTING[backend]


def _url(address: str) -> str:
    base, _, options = address.partition("?")
    name = f"fhirserver_test_{uuid.uuid4().hex[:12]}"
    return f"{base.rstrip('/')}/{name}" + (f"?{options}" if options else "")
