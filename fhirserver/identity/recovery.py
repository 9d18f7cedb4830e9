"""Recovery codes: for who lost the second factor, each good for one sign-in."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from typing import Final

COUNT: Final = 10
_BYTES: Final = 10  # 80 bits: 16 letters and digits
_READ_AS: Final = str.maketrans({"0": "O", "1": "I", "8": "B"})  # none of those is in base32


def make(random: Callable[[int], bytes]) -> tuple[str, ...]:
    """Fresh codes, as they are shown once."""
    return tuple(_grouped(base64.b32encode(random(_BYTES)).decode()) for _ in range(COUNT))


def hashed(key: bytes, account: str, code: str) -> bytes:
    """What is kept of a code, however it was typed. Their 80 bits need no slow hash."""
    plain = "".join(mark for mark in code.upper().translate(_READ_AS) if mark.isalnum())
    return hmac.digest(key, f"{account}\0{plain}".encode(), "sha256")


def looks_like(code: str) -> bool:
    """Whether it was meant to be a recovery code rather than one of an app."""
    return sum(mark.isalnum() for mark in code) == _BYTES * 8 // 5


def _grouped(text: str) -> str:
    return "-".join(text[at : at + 4].lower() for at in range(0, len(text), 4))
