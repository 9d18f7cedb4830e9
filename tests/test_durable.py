"""Folders that are their owner's."""

from __future__ import annotations

import os
from pathlib import Path

from fhirserver.durable import make_folder


def test_folders_are_their_owners(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_folder(tmp_path / "tenant" / "audit" / "journal")
    finally:
        os.umask(before)
    for folder in ("tenant", "tenant/audit", "tenant/audit/journal"):
        assert (tmp_path / folder).stat().st_mode & 0o777 == 0o700
