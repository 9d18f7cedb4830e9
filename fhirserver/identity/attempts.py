"""Failures of one account, all factors together, and the lock on the fifth.

An attempt is counted before it is looked at, and given back when it succeeds, so that any number
of parallel guesses are still five. A name that nobody has is counted like any other. What
follows the fifth failure is one guess after a pause that doubles each time. A browser that the
person signed in with before has a count of its own, so that strangers who lock the name do not
lock its owner out (OWASP, "Device cookies").
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from fhirserver.identity.clocks import LEEWAY
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Records

COLLECTION: Final = "identity.attempts"
DEVICES: Final = "identity.device"

LIMIT: Final = 5
"""Failures after which a name is locked."""

_MINUTE: Final = 60_000_000
_LONGEST: Final = 60 * _MINUTE
_FORGOTTEN: Final = 24 * 60 * _MINUTE
_DEVICE_KNOWN: Final = 180 * 24 * 60 * _MINUTE


class _Count(msgspec.Struct, frozen=True):
    failures: int = 0
    until: int = 0


class Attempt(NamedTuple):
    """An attempt that was let through; `locks`: if it fails, the name is locked now."""

    key: str
    locks: bool


class Attempts:
    """`now` gives microseconds since 1970."""

    def __init__(self, records: Records, *, now: Callable[[], int]) -> None:
        self._records = records
        self._now = now

    async def begin(self, name: str, device: str | None = None) -> Attempt | None:
        """Lets an attempt on a name through; None while the name is locked.

        `device` is the token of a browser (see `know`).
        """
        key = await self._key(name, device)
        while True:
            count, revision = await self._read(key)
            now = self._now()
            if _is_locked(count, now):
                return None
            failures = count.failures + 1
            locks = failures >= LIMIT
            taken = _Count(failures, now + pause(failures) if locks else 0)
            if await self._write(key, taken, revision):
                return Attempt(key, locks)

    async def passed(self, attempt: Attempt, *, wholly: bool) -> None:
        """The attempt succeeded. Only who is `wholly` signed in has all failures forgiven."""
        if wholly:
            await self._records.delete(COLLECTION, attempt.key)
            return
        while True:
            count, revision = await self._read(attempt.key)
            if not count.failures:
                return
            until = 0 if attempt.locks else count.until
            if await self._write(attempt.key, _Count(count.failures - 1, until), revision):
                return

    async def forgive(self, name: str) -> None:
        """Forgets all failures, those of known browsers too: an administrator said so."""
        hashed = _hash(name)
        await self._records.delete(COLLECTION, hashed)
        for record in await self._records.list(COLLECTION, prefix=f"{hashed}/"):
            await self._records.delete(COLLECTION, record.key)

    async def locked_until(self, name: str) -> int:
        """The instant until which strangers may not try; 0 when they may."""
        count, _ = await self._read(_hash(name))
        return count.until if _is_locked(count, self._now()) else 0

    async def know(self, name: str, device: str) -> None:
        """From now on the browser with this token has a count of its own for the name."""
        expires = self._now() + _DEVICE_KNOWN
        key = f"{_hash(name)}/{_hash(device)}"
        await self._records.put(DEVICES, key, b"{}", expires=expires)

    async def know_none(self, name: str) -> None:
        """All browsers are strangers again."""
        for record in await self._records.list(DEVICES, prefix=f"{_hash(name)}/"):
            await self._records.delete(DEVICES, record.key)

    async def _key(self, name: str, device: str | None) -> str:
        of_device = f"{_hash(name)}/{_hash(device or '')}"
        known = await self._records.get(DEVICES, of_device)
        return of_device if known and device else _hash(name)

    async def _read(self, key: str) -> tuple[_Count, int]:
        record = await self._records.get(COLLECTION, key)
        return (_decode(record.body), record.revision) if record else (_Count(), ABSENT)

    async def _write(self, key: str, count: _Count, revision: int) -> bool:
        expires = max(self._now(), count.until) + _FORGOTTEN
        body = msgspec.json.encode(count)
        try:
            await self._records.put(COLLECTION, key, body, expected=revision, expires=expires)
        except Stale:
            return False
        return True


def pause(failures: int) -> int:
    """How long (microseconds) a name is locked after so many failures; 0 below the limit."""
    return min(_MINUTE << min(failures - LIMIT, 20), _LONGEST) if failures >= LIMIT else 0


def _is_locked(count: _Count, now: int) -> bool:
    """Not by a lock that is longer than there is: then the clock was ahead when it was made."""
    return now < count.until <= now + _LONGEST + LEEWAY


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


_decode: Final = msgspec.json.Decoder(_Count).decode
