"""The archives that tests run on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from fhirserver.archive.port import Archive
from fhirserver.archive.sqlite import SqliteArchive
from fhirserver.archive.veil import Sealed
from fhirserver.blobs.keys import ContentKeys

KEYS = ContentKeys("default", {1: bytes(range(32))})
KINDS = ("sqlite", "sealed")


def ticking() -> Callable[[], int]:
    return count(1_000_000_000_000_000).__next__


@asynccontextmanager
async def opened(kind: str, folder: Path, *, patience: float = 10.0) -> AsyncIterator[Archive]:
    """An archive of a kind in a folder."""
    veil = Sealed("default", KEYS) if kind == "sealed" else None
    archive = SqliteArchive.open(
        folder / "imaging.db", clock=ticking(), veil=veil, patience=patience
    )
    yield archive
    await archive.close()


@pytest.fixture(params=KINDS)
async def archive(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Archive]:
    async with opened(request.param, tmp_path) as found:
        yield found
