"""Sealing: AES-256-GCM under the newest data key, bound to the place of what is sealed.

What is sealed begins with a byte that tells the form, the number of its key (4 bytes, highest
first) and a random nonce (12 bytes); the tag comes last. The additional authenticated data name
tenant, place and key, so that bytes that were altered or stand elsewhere cannot be opened.
NIST SP 800-38D.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhirserver.errors import Fault

FORM: Final = b"\x01"
"""The first byte of what is sealed; no JSON begins with it."""

OVERHEAD: Final = 33
"""By how many bytes sealed content is longer."""

ALTERED: Final = "Stored content was altered, moved or damaged. Restore it from a backup."

_HEAD: Final = 5
_START: Final = 17


class Altered(Fault):
    """What is stored is not what was sealed there: it was altered, moved or damaged."""


class UnknownKey(Fault):
    """Something is sealed under a key that this process does not have (yet)."""

    def __init__(self, number: int) -> None:
        super().__init__(f"The store is sealed under key {number}, which is not among its keys.")
        self.number = number


class Cipher:
    """Seals under one of the data keys of a tenant; opens what any of them sealed."""

    def __init__(self, tenant: str, keys: Mapping[int, bytes], current: int) -> None:
        self._tenant = tenant.encode()
        self._ciphers = {number: AESGCM(key) for number, key in keys.items()}
        self.current = current
        self._head = FORM + current.to_bytes(4, "big")
        self._seal = self._ciphers[current].encrypt

    def seal(self, content: bytes, place: str) -> bytes:
        """The content, sealed for a place (`version|Patient|1|2`)."""
        nonce = os.urandom(12)
        head = self._head
        sealed = self._seal(nonce, content, b"%b|%b|%b" % (head, self._tenant, place.encode()))
        return head + nonce + sealed

    def open(self, sealed: bytes, place: str) -> bytes:
        """The content again. Raises `Altered`, `UnknownKey`."""
        number = key_number(sealed)
        cipher = self._ciphers.get(number)
        if cipher is None:
            raise UnknownKey(number)
        data = b"%b|%b|%b" % (sealed[:_HEAD], self._tenant, place.encode())
        try:
            return cipher.decrypt(sealed[_HEAD:_START], sealed[_START:], data)
        except InvalidTag:
            raise Altered(ALTERED) from None


def key_number(sealed: bytes) -> int:
    """The number of the key. Raises `Altered` for what is not sealed at all."""
    if len(sealed) < OVERHEAD or sealed[:1] != FORM:
        raise Altered(ALTERED)
    return int.from_bytes(sealed[1:_HEAD], "big")
