"""What a signed JWT says of itself, before its signature is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError

from fhirserver.errors import FhirError
from fhirserver.model.json import decode

_MOST: Final = 8192  # characters


def unverified(text: str) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """Header and claims, nothing of which is believed yet; None for what is no signed JWT."""
    if len(text) > _MOST or not text.isascii():
        return None
    try:
        signed = jws.extract_compact(text.encode("ascii"))
        claims = decode(signed.payload)
    except (JoseError, FhirError, ValueError, TypeError, KeyError):
        return None
    return (signed.protected, claims) if isinstance(claims, dict) else None
