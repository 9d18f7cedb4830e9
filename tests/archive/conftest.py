"""The archives that tests run on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import pytest

from fhirserver.archive.port import Archive
from fhirserver.archive.sqlite import SqliteArchive
from fhirserver.archive.veil import Sealed
from fhirserver.blobs.keys import ContentKeys

KEYS = ContentKeys("default", {1: bytes(range(32))})


def ticking() -> Callable[[], int]:
    return count(1_000_000_000_000_000).__next__


@pytest.fixture(params=["sqlite", "sealed"])
async def archive(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Archive]:
    veil = Sealed("default", KEYS) if request.param == "sealed" else None
    opened = SqliteArchive.open(tmp_path / "imaging.db", clock=ticking(), veil=veil)
    yield opened
    await opened.close()
