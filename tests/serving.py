"""The whole server in this process, over ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from stores import url_of

from fhirserver import Settings, create_app


@asynccontextmanager
async def started(app: Any) -> AsyncIterator[None]:
    """Runs the lifespan of an ASGI application. Raises what it says when it cannot start."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan"}, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    message = await from_app.get()
    if message["type"] != "lifespan.startup.complete":
        await task
        raise RuntimeError(message["message"])
    try:
        yield
    finally:
        await to_app.put({"type": "lifespan.shutdown"})
        assert (await from_app.get())["type"] == "lifespan.shutdown.complete"
        await task


@asynccontextmanager
async def client(data: Path, **settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an open server on a data folder, at http://localhost."""
    if url := url_of(data):
        settings["store"] = url
    app = create_app(Settings(data=data, auth="none", **settings))
    async with started(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as found:
            yield found
