"""Filing by the process that records, where it does not work."""

from __future__ import annotations

import asyncio
import errno
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest
from audit.conftest import opened, patient

from fhirserver.audit import filing
from fhirserver.audit.checkpoint import Checkpoints
from fhirserver.audit.journal import FOLDER, SUFFIX
from fhirserver.audit.segment import Segments
from fhirserver.errors import Unavailable


def refuse(*_: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, "full")


def held(data: Path) -> bytes:
    """What waits to be filed."""
    files = sorted((data / "audit" / FOLDER).glob(f"*{SUFFIX}"))
    return b"".join(path.read_bytes() for path in files)


async def test_where_nothing_can_be_filed_for_long_nothing_more_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filing, "MOST_UNFILED", 2)
    async with opened(tmp_path) as world:
        await world.put(patient("p1"))
        with monkeypatch.context() as patch:
            patch.setattr(Segments, "file", refuse)
            for _ in range(8):
                with suppress(Unavailable):
                    await world.ask("read", "Patient", id="p1")
            before = held(tmp_path)
            for _ in range(5):
                with pytest.raises(Unavailable):
                    await world.ask("read", "Patient", id="p1")
            assert held(tmp_path) == before
        await world.ask("read", "Patient", id="p1")
        assert (await world.verified()).lanes == 1


async def test_the_journal_is_let_go_whatever_fails_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant is closed in a process that goes on: what it left is others' to file."""
    async with opened(tmp_path) as world:
        await world.put(patient("p1"))
        trail = world.running._trail
        assert trail is not None
        trail._filing._task = asyncio.create_task(asyncio.sleep(0))  # nobody files
        monkeypatch.setattr(Segments, "file", refuse)
        monkeypatch.setattr(Checkpoints, "_copy", refuse)
        with suppress(OSError):
            await trail.close()
        monkeypatch.undo()
        async with opened(tmp_path) as other:
            assert len(await other.events()) == 1
            assert held(tmp_path) == b""


async def test_what_cannot_be_read_is_not_in_the_way_of_the_rest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as world:
        trail = world.running._trail
        assert trail is not None
        await world.put(patient("p1"))
        await trail.append([b',"type":{"no":"event'])
        await world.ask("read", "Patient", id="p1")
        assert len(await world.events()) == 2
        assert "cannot be filed" in caplog.text
    async with opened(tmp_path) as world:
        assert len(await world.events()) == 2
        assert held(tmp_path)
