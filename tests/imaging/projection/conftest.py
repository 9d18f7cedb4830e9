"""A place for one test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from imaging.projection.place import Place, open_place


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with open_place(tmp_path) as found:
        yield found
