"""Codes of authenticator apps (RFC 6238: SHA-1, six digits, 30 seconds, as all apps have it)."""

from __future__ import annotations

import base64
import hmac
from typing import Final

import pyotp

SECRET_BYTES: Final = 20
_STEP: Final = 30_000_000  # microseconds
_DRIFT: Final = 1  # steps that clocks may differ by (RFC 6238 section 5.2)


def step_of(secret: bytes, code: str, now: int, last: int) -> int | None:
    """The step that a code is of, if it is one of now and behind `last`; else None."""
    digits = "".join(code.split())
    generator = pyotp.TOTP(_base32(secret))
    current = now // _STEP
    found = None
    for step in range(current - _DRIFT, current + _DRIFT + 1):
        # each is compared, so that the time tells nothing
        fits = hmac.compare_digest(generator.generate_otp(step).encode(), digits.encode())
        found = step if fits and step > last else found
    return found


def address(secret: bytes, name: str, issuer: str) -> str:
    """The `otpauth:` address that an app reads from a picture."""
    return pyotp.TOTP(_base32(secret)).provisioning_uri(name=name, issuer_name=issuer)


def spelled(secret: bytes) -> str:
    """The secret in groups of four, for typing in."""
    text = _base32(secret)
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def _base32(secret: bytes) -> str:
    return base64.b32encode(secret).rstrip(b"=").decode()
