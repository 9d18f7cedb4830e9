"""Secrets that are handed out and kept as hashes only: codes, tokens.

A secret is text of the URL-safe alphabet. The first bytes name a record, the rest is random, so
that a record is found without the secret and the secret is not found by its record.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

RandomBytes: TypeAlias = Callable[[int], bytes]

SECRET_BYTES: Final = 32
ID_BYTES: Final = 16


class Named(NamedTuple):
    """The two parts of a secret that names its record."""

    id: str
    secret: bytes


def new_client_id(random: RandomBytes) -> str:
    """A client_id: of letters and digits, as a leading dash would be an option of a command."""
    return random(ID_BYTES).hex()


def text_of(value: bytes) -> str:
    """Bytes in the URL-safe alphabet, without padding."""
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def bytes_of(text: str) -> bytes | None:
    """The bytes of such a text; None where it is none, or not the one way to write them."""
    try:
        value = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (Error, ValueError):
        return None
    return value if text_of(value) == text else None


def hash_of(secret: bytes) -> bytes:
    """The SHA-256 of a secret, which is what is kept of it.

    One round is enough: every secret has 128 random bits or more.
    """
    return hashlib.sha256(secret).digest()


def same(one: bytes, other: bytes) -> bool:
    """Whether two hashes are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(one, other)


def named(id: str, secret: bytes) -> str:
    """The text of a secret that names the record `id`, which is `ID_BYTES` as text."""
    prefix = bytes_of(id)
    assert prefix is not None
    return text_of(prefix + secret)


def parts_of(text: str, size: int) -> Named | None:
    """The parts of such a text whose secret has `size` bytes; None where it is none."""
    value = bytes_of(text)
    if value is None or len(value) != ID_BYTES + size:
        return None
    return Named(text_of(value[:ID_BYTES]), value[ID_BYTES:])
