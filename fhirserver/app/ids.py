"""Clock and ids, which are passed in to whatever needs them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from itertools import count


def new_id() -> str:
    """A fresh logical id: a UUID of version 7 (RFC 9562), so that new rows lie together."""
    milliseconds = time.time_ns() // 1_000_000
    tail = secrets.randbits(74)
    value = (milliseconds << 80) | (0x7 << 76) | ((tail >> 62) << 64)
    value |= (0b10 << 62) | (tail & ((1 << 62) - 1))
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def now() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000


def request_ids() -> Callable[[], str]:
    """A source of ids that tell requests of all workers apart."""
    worker = secrets.token_hex(4)
    numbers = count(1)
    return lambda: f"{worker}-{next(numbers):x}"
