"""Keys that the server makes for itself and keeps in its data folder."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from fhirserver.app.errors import NotRunnable

_KEY_BYTES = 32


def sealing_key(folder: Path) -> bytes:
    """The key of page links. Raises `NotRunnable` for a damaged one."""
    return own_key(folder / "sealing.key", damaged="remove it; page links given so far then end")


def audit_key(path: Path) -> bytes:
    """The key that the audit trail is chained with. Raises `NotRunnable` for a damaged one."""
    return own_key(path, damaged="bring back its copy, or the trail cannot be verified")


def own_key(path: Path, *, damaged: str) -> bytes:
    """The key in a file, which is made if it is not there and only its owner can read.

    Workers that start together agree on one. Raises `NotRunnable`, which says what to do.
    """
    folder = path.parent
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = folder / f".{path.stem}-{secrets.token_hex(8)}"
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
        raise NotRunnable(f"{path} is damaged: {damaged}.")
    return key


def identity_key(folder: Path) -> bytes:
    """The key of accounts' secrets. Raises `NotRunnable` for a damaged one."""
    return own_key(
        folder / "identity.key",
        damaged="bring back its copy, or second factors have to be enrolled anew",
    )
