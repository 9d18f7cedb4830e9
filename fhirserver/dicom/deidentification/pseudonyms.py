"""Other names for the same things: what is the same before is the same afterwards.

All of them are keyed hashes: without the tenant's key nobody can tell, or try out, what they
stand for; with it, a study that is de-identified again, or the next of the same patient, fits.
"""

from __future__ import annotations

import hmac
from datetime import date, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

_WELL_KNOWN: Final = "1.2.840.10008."
"""The root of DICOM's own UIDs: classes, transfer syntaxes, and the like."""

_MOST_DAYS: Final = 3650
_FEWEST_DAYS: Final = 30


class Pseudonyms:
    """`key` is the tenant's secret, at least 32 bytes; `patient` tells patients apart."""

    def __init__(self, key: bytes, patient: str) -> None:
        if len(key) < 32:
            raise ValueError("The key of pseudonyms has 32 bytes or more.")
        self._key = key
        self._patient = patient

    def uid(self, value: str) -> str:
        """Another UID for an instance of something; those that DICOM defines stay."""
        if not value or value.startswith(_WELL_KNOWN):
            return value
        return f"2.25.{UUID(bytes=self._hash('uid', value)[:16], version=4).int}"

    @property
    def patient(self) -> str:
        """The id and name of the patient."""
        return f"ANON-{self._hash('patient', self._patient).hex()[:16].upper()}"

    def day(self, value: date) -> date:
        """The day, as many days earlier as all of this patient's. Raises `OverflowError`."""
        number = int.from_bytes(self._hash("days", self._patient)[:8], "big")
        return value - timedelta(days=_FEWEST_DAYS + number % (_MOST_DAYS - _FEWEST_DAYS))

    def _hash(self, what: str, value: str) -> bytes:
        return hmac.digest(self._key, f"{what}\0{value}".encode(), sha256)
