"""Sealing where nothing is counted together: each process seals under keys of its own.

A key is derived with a random salt, which what is sealed begins with, so that whoever can derive
keys opens it. As nonces are random, a process takes another salt before it has sealed as many
messages under one key as may be (NIST SP 800-38D, 8.3); no other process seals under it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from itertools import count
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhirserver.store.sealed.allowance import BOUND
from fhirserver.store.sealed.cipher import ALTERED, Altered

FORM: Final = b"\x02"
"""The first byte of what is sealed so."""

_SALT: Final = 16  # bytes
_NONCE: Final = 12
_HEAD: Final = len(FORM) + _SALT
_START: Final = _HEAD + _NONCE
_KNOWN: Final = 256  # keys that are kept


class _Key:
    """One that this process seals under."""

    def __init__(self, derived: Callable[[bytes], bytes]) -> None:
        salt = os.urandom(_SALT)
        self.head = FORM + salt
        self.encrypt = AESGCM(derived(salt)).encrypt
        self.sealed = count(1)


class Salted:
    """Seals and opens by AES-256-GCM. `derived` gives the key of 32 bytes for a salt.

    To be used from any thread.
    """

    def __init__(self, derived: Callable[[bytes], bytes]) -> None:
        self._derived = derived
        self._key = _Key(derived)
        self._cipher = lru_cache(_KNOWN)(lambda salt: AESGCM(derived(salt)))

    def seal(self, content: bytes, place: bytes) -> bytes:
        """The content, bound to a place."""
        key = self._key
        while next(key.sealed) > BOUND:
            key = self._key = _Key(self._derived)
        nonce = os.urandom(_NONCE)
        return key.head + nonce + key.encrypt(nonce, content, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """The content again. Raises `Altered`."""
        if sealed[:1] != FORM or len(sealed) < _START:
            raise Altered(ALTERED)
        cipher = self._cipher(sealed[len(FORM) : _HEAD])
        try:
            return cipher.decrypt(sealed[_HEAD:_START], sealed[_START:], place)
        except InvalidTag:
            raise Altered(ALTERED) from None
