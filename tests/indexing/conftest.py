"""An open server on a data folder of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import serving


@pytest.fixture(autouse=True)
def on_each_store(each_store: str) -> None:
    """These tests run on every store."""


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving.client(tmp_path) as client:
        yield client
