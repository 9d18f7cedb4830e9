"""What tests of encryption share."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A master key, outside every data folder."""
    path = tmp_path / "master.key"
    path.write_bytes(b64encode(bytes(range(32))))
    path.chmod(0o600)
    return path


@pytest.fixture
def encrypted(key_file: Path) -> dict[str, Any]:
    """The settings of an encrypted store."""
    return {"encryption": "on", "encryption_key": f"file:{key_file}"}
