"""Nonces of DPoP proofs (RFC 9449 sections 8 and 9): a proof is made now, and not stored up.

A nonce names a stretch of five minutes, authenticated with a key of the tenant's that all workers
have, so that none has to be kept. That of the stretch before is good as well.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, Final

from fhirserver.auth.authorization import MINUTE
from fhirserver.auth.secret import text_of

HEADER: Final = "DPoP-Nonce"

_STRETCH: Final = 5 * MINUTE
_BYTES: Final = 16


class Nonces:
    """`now` gives microseconds since 1970."""

    def __init__(self, key: bytes, *, now: Callable[[], int]) -> None:
        self._key = key
        self._now = now

    def current(self) -> str:
        """The nonce that proofs are to have from now on."""
        return self._of(self._now() // _STRETCH)

    def is_good(self, nonce: Any) -> bool:
        """Whether a claim of a proof is the nonce of this stretch or of the one before."""
        if not isinstance(nonce, str):
            return False
        stretch, sent = self._now() // _STRETCH, nonce.encode()
        known = [self._of(stretch - back).encode() for back in (0, 1)]
        return any(hmac.compare_digest(one, sent) for one in known)

    def _of(self, stretch: int) -> str:
        return text_of(hmac.digest(self._key, f"nonce|{stretch}".encode(), "sha256")[:_BYTES])
