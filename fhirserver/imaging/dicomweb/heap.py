"""What earlier requests freed goes back to the system before something large passes through."""

from __future__ import annotations

import ctypes
from typing import Final

_LARGE: Final = 64 * 1024 * 1024
_TRIM: Final = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""glibc's; others have none."""


def give_back(size: int | None) -> None:
    """Gives free memory back where so many bytes (None: nobody knows) are to come or go.

    glibc keeps what was freed for itself, in a heap for each thread: 5 MB of a server in use. It
    takes a millisecond or two, as sending 64 MB takes 30.
    """
    if _TRIM is not None and (size is None or size >= _LARGE):
        _TRIM(0)
