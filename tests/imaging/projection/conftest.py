"""A place for one test, on SQLite and on MongoDB."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from imaging.projection.place import Place, open_place


@pytest.fixture
async def place(tmp_path: Path, each_store: str) -> AsyncIterator[Place]:
    async with open_place(tmp_path) as found:
        yield found
