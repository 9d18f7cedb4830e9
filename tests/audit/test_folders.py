"""What is recorded has its name on disk, too, and folders are their owner's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from audit.conftest import opened, patient

from fhirserver.audit.folders import make_folder


@pytest.mark.check("AUD-6")
async def test_names_are_on_disk_before_it_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, sync = set(), os.fsync

    def told(descriptor: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    async with opened(tmp_path) as world:
        monkeypatch.setattr(os, "fsync", told)
        await world.put(patient("p1"))
    assert {
        str(path) for path in (tmp_path, tmp_path / "audit", tmp_path / "audit" / "journal")
    } <= synced


def test_folders_are_their_owners(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_folder(tmp_path / "tenant" / "audit" / "journal")
    finally:
        os.umask(before)
    for folder in ("tenant", "tenant/audit", "tenant/audit/journal"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700
