"""Proof Key for Code Exchange (RFC 7636), by S256 only."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

from fhirserver.auth.secret import same, text_of

_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)


def proves(verifier: str | None, challenge: str) -> bool:
    """Whether the verifier is the one that the challenge was made from."""
    if verifier is None or not challenge or not _VERIFIER.fullmatch(verifier):
        return False
    made = text_of(sha256(verifier.encode("ascii")).digest())
    return same(made.encode(), challenge.encode())
