"""What must be read again but by nobody else: secrets of authenticator apps, sealed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fhirserver.errors import Fault

_NONCE: Final = 12


def derived(key: bytes, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose, made from the tenant's (RFC 5869)."""
    return HKDF(SHA256(), 32, salt=None, info=f"fhirserver identity {purpose}".encode()).derive(key)


class Seal:
    """AES-256-GCM with random nonces. `key` has 32 bytes."""

    def __init__(self, key: bytes, *, random: Callable[[int], bytes]) -> None:
        self._aead = AESGCM(key)
        self._random = random

    def close(self, value: bytes, about: str) -> bytes:
        """The value sealed; it opens for the same `about` only."""
        nonce = self._random(_NONCE)
        return nonce + self._aead.encrypt(nonce, value, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """The value. Raises `Fault` for what was altered, moved, or sealed with another key."""
        try:
            return self._aead.decrypt(sealed[:_NONCE], sealed[_NONCE:], about.encode())
        except InvalidTag as error:
            raise Fault("A secret of an account cannot be opened: the key is another.") from error
