"""Keys that the server makes for itself and keeps in its data folder."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from fhirserver.app.errors import NotRunnable

_KEY_BYTES = 32


def sealing_key(folder: Path) -> bytes:
    """The key of page links, kept in the data folder, where only its owner can read it.

    Workers that start together agree on one.
    """
    path = folder / "sealing.key"
    if not path.exists():
        draft = folder / f".sealing-{secrets.token_hex(8)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(descriptor)
        with suppress(FileExistsError):
            path.hardlink_to(draft)  # whole or not at all, and only by one
        draft.unlink()
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise NotRunnable(f"{path} is damaged: remove it; page links given so far then end.")
    return key
