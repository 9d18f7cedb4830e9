"""The archives that tests run on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from stores import on_mongodb, url_of

from fhirserver.archive.mongo import MongoArchive
from fhirserver.archive.port import Archive
from fhirserver.archive.sqlite import SqliteArchive
from fhirserver.archive.veil import Clear, Sealed
from fhirserver.blobs.keys import ContentKeys

KEYS = ContentKeys("default", {1: bytes(range(32))})
KINDS = ("sqlite", "sealed")
ON_MONGODB = ("mongodb", "mongodb-sealed")
EVERY_KIND = (*KINDS, *(pytest.param(kind, marks=pytest.mark.mongodb) for kind in ON_MONGODB))


def ticking() -> Callable[[], int]:
    return count(1_000_000_000_000_000).__next__


@asynccontextmanager
async def opened(kind: str, folder: Path, *, patience: float = 10.0) -> AsyncIterator[Archive]:
    """An archive of a kind in a folder."""
    veil = Sealed("default", KEYS) if kind.endswith("sealed") else Clear()
    archive: Archive
    if kind in ON_MONGODB:
        url = url_of(folder / "imaging.db")
        assert url is not None
        archive = MongoArchive(url, tenant="default", clock=ticking(), veil=veil, patience=patience)
        yield archive
        await archive.close()
        return
    archive = SqliteArchive.open(
        folder / "imaging.db", clock=ticking(), veil=veil, patience=patience
    )
    yield archive
    await archive.close()


@pytest.fixture(scope="module")
def on_wire(wire: Any) -> Iterator[None]:
    """A server of MongoDB's protocol while a module's tests run."""
    with on_mongodb(wire.address("replica-set")):
        yield


@pytest.fixture(params=EVERY_KIND)
async def archive(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Archive]:
    if request.param in ON_MONGODB:
        request.getfixturevalue("on_wire")
    async with opened(request.param, tmp_path) as found:
        yield found
