"""The keys of a tenant: wrapped in one record of its own store, unwrapped in memory.

Data keys seal content; the newest one seals what is new, older ones open what they sealed. The
index key makes the blind index and does not change, as the index would have to with it. All are
wrapped by the master key. One record holds all of them, so that every change of keys is one
compare-and-set. Before a data key has sealed as much as it may, another one takes its place.
"""

from __future__ import annotations

import logging
import os
import time
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from fhirserver.errors import Conflict, Unavailable
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Records
from fhirserver.store.sealed.allowance import Allowance
from fhirserver.store.sealed.cipher import Cipher
from fhirserver.store.sealed.master import KEY_BYTES, MasterKey, WrongMaster

COLLECTION: Final = "sealed.keys"
_RING: Final = "ring"
_FRESH: Final = 60.0  # seconds after which a process looks for newer keys before it seals
GRACE: Final = 600 * 1_000_000
"""Microseconds for which a key that has a successor may still be in use by some process."""

_ATTEMPTS: Final = 20
_LOG = logging.getLogger("fhirserver.keys")


class Shredded(Unavailable):
    """The keys of the store were destroyed, and with them what it held."""


class Wrapped(msgspec.Struct, frozen=True):
    """A key as it is kept; instants in microseconds. `number` 0 is the index key."""

    number: int
    master: str
    key: str
    created: int
    superseded: int | None = None


class Ring(msgspec.Struct, frozen=True):
    """All keys of a tenant; without any, they were destroyed. `fields`: what else is hashed."""

    tenant: str
    keys: tuple[Wrapped, ...]
    fields: tuple[str, ...] = ()

    @property
    def data(self) -> tuple[Wrapped, ...]:
        """The data keys, oldest first."""
        return tuple(sorted((one for one in self.keys if one.number), key=lambda one: one.number))

    @property
    def current(self) -> int:
        return self.data[-1].number


async def ring_of(records: Records) -> Ring | None:
    """The keys of a store; None for one that is not sealed. Raises `Shredded`."""
    found = await records.get(COLLECTION, _RING)
    return None if found is None else _ring(found.body)


async def make_ring(
    records: Records, master: MasterKey, tenant: str, now: int, fields: tuple[str, ...] = ()
) -> None:
    """Makes the first keys of an empty store, unless another process has."""
    keys = [await _wrapped(master, tenant, number, os.urandom(KEY_BYTES), now) for number in (0, 1)]
    body = msgspec.json.encode(Ring(tenant, tuple(keys), fields))
    try:
        await records.put(COLLECTION, _RING, body, expected=ABSENT)
    except Stale:
        return


class Keys:
    """The unwrapped keys of a tenant, as one process uses them."""

    def __init__(
        self, records: Records, master: MasterKey, tenant: str, now: Callable[[], int]
    ) -> None:
        self._records = records
        self._master = master
        self._tenant = tenant
        self.now = now
        self._plain: dict[int, bytes] = {}
        self._seen = 0.0
        self._allowance = self.allowance(0)
        self.cipher: Cipher
        self.index: bytes

    @classmethod
    async def open(
        cls, records: Records, master: MasterKey, tenant: str, now: Callable[[], int]
    ) -> Keys:
        """The keys of a sealed store. Raises `WrongMaster`, `Shredded`."""
        keys = cls(records, master, tenant, now)
        await keys.refresh()
        return keys

    async def fresh(self, messages: int = 1) -> Cipher:
        """A cipher whose newest key was the newest a minute ago, to seal so many messages with.

        Raises `Unavailable` where the key has sealed all that it may, and none can take its place.
        """
        if time.monotonic() - self._seen > _FRESH:
            await self.refresh()
        while not self._allowance.take(messages):
            if not await self._allowance.extend(messages):
                await self._succeed(self._allowance.number)
        return self.cipher

    def allowance(self, number: int) -> Allowance:
        """How much the data key of that number has sealed."""
        return Allowance(self._records, COLLECTION, number)

    async def _succeed(self, number: int) -> None:
        """Puts another data key in the place of that one, unless another process has."""
        await self.refresh()
        if self.cipher.current == number:
            _LOG.warning("data key %d has sealed what it may; another takes its place", number)
            await self.rotate(number)

    async def refresh(self) -> None:
        """Reads the keys anew."""
        ring = await self.ring()
        if ring.tenant != self._tenant:
            raise WrongMaster("The keys of the store are those of another tenant.")
        for one in ring.keys:
            if one.number not in self._plain:
                self._plain[one.number] = await self._unwrap(one)
        held = {one.number: self._plain[one.number] for one in ring.keys}
        self._plain = held
        self.index = held[0]
        data = {number: key for number, key in held.items() if number}
        self.cipher = Cipher(self._tenant, data, ring.current)
        if self._allowance.number != ring.current:
            self._allowance = self.allowance(ring.current)
        self._seen = time.monotonic()

    async def ring(self) -> Ring:
        """The keys as they are kept."""
        ring = await ring_of(self._records)
        if ring is None:
            raise Unavailable("The store has no keys: it was made without encryption.")
        return ring

    async def rotate(self, after: int | None = None) -> int:
        """Makes a new data key, under which from now on content is sealed; its number.

        `after` is the number of the key whose place it takes: nothing is done if one has already.
        """

        async def turned(ring: Ring) -> Ring:
            if after is not None and ring.current != after:
                return ring
            number, now = ring.current + 1, self.now()
            keys = [
                msgspec.structs.replace(one, superseded=now) if one.number == ring.current else one
                for one in ring.keys
            ]
            made = await _wrapped(self._master, self._tenant, number, os.urandom(KEY_BYTES), now)
            return msgspec.structs.replace(ring, keys=(*keys, made))

        await self._change(turned)
        await self.refresh()
        return self.cipher.current

    async def rewrap(self, master: MasterKey) -> int:
        """Wraps all keys with another master key; how many they were. No content changes."""

        async def wrapped(ring: Ring) -> Ring:
            keys = []
            for one in ring.keys:
                if one.master != master.name:
                    key = await self._unwrap(one)
                    one = msgspec.structs.replace(
                        await _wrapped(master, self._tenant, one.number, key, one.created),
                        superseded=one.superseded,
                    )
                keys.append(one)
            return msgspec.structs.replace(ring, keys=tuple(keys))

        ring = await self._change(wrapped)
        self._master = master
        return len(ring.keys)

    async def retire(self, unused: frozenset[int], before: int) -> list[int]:
        """Destroys data keys under which nothing is sealed; the numbers of those that went.

        Only those that had a successor before that instant: another one may still be in use.
        """
        gone: list[int] = []

        async def retired(ring: Ring) -> Ring:
            gone[:] = [
                one.number
                for one in ring.data
                if one.number in unused and one.superseded is not None and one.superseded < before
            ]
            kept = tuple(one for one in ring.keys if one.number not in gone)
            return msgspec.structs.replace(ring, keys=kept)

        await self._change(retired)
        for number in gone:
            await self.allowance(number).drop()
        await self.refresh()
        return gone

    async def _unwrap(self, one: Wrapped) -> bytes:
        if one.master != self._master.name:
            raise WrongMaster(
                f"The keys of the store were wrapped by the master key '{one.master}', and the "
                f"settings name '{self._master.name}'. Set the former, or restore the store."
            )
        return await self._master.unwrap(b64decode(one.key), _context(self._tenant, one.number))

    async def _change(self, change: Callable[[Ring], Awaitable[Ring]]) -> Ring:
        for _ in range(_ATTEMPTS):
            found = await self._records.get(COLLECTION, _RING)
            if found is None:
                break
            ring = await change(_ring(found.body))
            try:
                await self._records.put(
                    COLLECTION, _RING, msgspec.json.encode(ring), expected=found.revision
                )
            except Stale:
                continue
            return ring
        raise Conflict("The keys of the store are being changed by others. Try again.")


async def shred(records: Records, tenant: str) -> None:
    """Destroys the keys of a store: what it holds can be read by nobody any more.

    `records` are those of the store itself, below the sealing. Whoever has both the master key
    and a copy of the store that was made before can still read the copy.
    """
    await records.put(COLLECTION, _RING, msgspec.json.encode(Ring(tenant, ())))


def _ring(body: bytes) -> Ring:
    ring = msgspec.json.decode(body, type=Ring)
    if not ring.keys:
        raise Shredded("The keys of this store were destroyed: what it held is gone for good.")
    return ring


async def _wrapped(
    master: MasterKey, tenant: str, number: int, key: bytes, created: int
) -> Wrapped:
    wrapped = await master.wrap(key, _context(tenant, number))
    return Wrapped(number, master.name, b64encode(wrapped).decode(), created)


def _context(tenant: str, number: int) -> bytes:
    return f"fhirserver|{tenant}|{number}".encode()
