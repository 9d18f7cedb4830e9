"""A server with authorization, on each store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from auth.tokens.world import Clock, World, serving


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def world(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    async with serving(tmp_path, clock, monkeypatch) as found:
        yield found
