"""The trail stays whole whatever the clock does between an event and its filing."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from audit.conftest import opened, patient


@pytest.mark.check("OPS-10")
@pytest.mark.check("AUD-7")
@pytest.mark.parametrize("jumps", [(-3600, 0), (3600, 0), (-90, -7200), (86_400, -86_400)])
async def test_a_clock_that_jumps_is_no_alteration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jumps: tuple[int, ...]
) -> None:
    ahead = 0

    def now() -> int:
        return time.time_ns() // 1000 + ahead * 1_000_000

    for module in ("audit", "stores", "running"):
        monkeypatch.setattr(f"fhirserver.app.{module}.now", now)
    async with opened(tmp_path) as world:
        await world.put(patient("p"))
        for number, jump in enumerate(jumps):
            ahead = jump
            await world.put(patient(f"p{number}"))
            assert (await world.verified()).problems == []  # some of it is not filed yet
            await world.events()
            assert (await world.verified()).problems == []
    async with opened(tmp_path) as world:
        assert (await world.verified()).problems == []
