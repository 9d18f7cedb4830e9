"""Segments: events of one group, durable in one write before any of their answers leaves.

What an answer waits for is one small write for many events. The AuditEvents themselves are
filed from there into the store, where they are found by search; then the segment is removed.
Whoever files a segment makes the same AuditEvents of it, so that a crash loses nothing, and two
who do it at once do it once. A segment is sealed (AES-256-GCM) under the audit key, so that what
was searched for does not stand in the store as plain text.
"""

from __future__ import annotations

import hmac
import logging
import os
from asyncio import sleep
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhirserver.audit.chain import TYPE, Place, chained, place_of
from fhirserver.audit.entries import entries_of
from fhirserver.audit.shelf import Sealed, Shelf
from fhirserver.model.resource import draft_head
from fhirserver.store.port import Change, Stale, Store

_LOG = logging.getLogger("fhirserver.audit")

FILED_AT_ONCE: Final = 512
"""So many events, or a segment more, are filed in one commit; answers wait for it meanwhile."""


class Linked(NamedTuple):
    """An event in its place: its id, its link and its content."""

    id: str
    link: bytes
    content: bytes


class Segment(NamedTuple):
    """Events of a lane that follow each other; `key` is the id of the first.

    There are no events in one that was damaged.
    """

    key: str
    events: tuple[Linked, ...]


def change_of(event: Linked) -> Change:
    """The AuditEvent of an event, as a store takes it."""
    body = chained(draft_head(TYPE, event.id, 1), event.content, event.link)
    return Change(TYPE, event.id, 1, "POST", body, entries_of(event.content))


class Pace:
    """How others' segments are filed: as fast as can be, unless a subclass knows better."""

    def at_once(self) -> int:
        """The events of the next commit, or a segment more."""
        return FILED_AT_ONCE

    async def rest(self) -> None:
        """Comes between two commits."""

    def is_over(self) -> bool:
        """Whether no more is to be filed now."""
        return False


_FULL: Final = Pace()


class Segments:
    """The segments of a tenant, and what files them into its store."""

    def __init__(self, store: Store, shelf: Shelf, key: bytes) -> None:
        self._key = key
        self._ciphers: dict[int, AESGCM] = {}
        self._store = store
        self._shelf = shelf

    async def keep(self, first: Place, links: Sequence[bytes], contents: Sequence[bytes]) -> str:
        """Makes events durable, which follow each other; the key of their segment. Raises
        `Stale` where its place is taken."""
        key = first.id
        nonce = os.urandom(_NONCE)
        packed = _ENCODER.encode(list(zip(links, contents, strict=True)))
        body = nonce + self._cipher(first.lane).encrypt(nonce, packed, key.encode())
        await self._shelf.put(first.lane, Sealed(key, body))
        return key

    async def has(self, lane: int) -> bool:
        """Whether the store holds events of a lane, as one that was restored."""
        return await self._store.read(TYPE, Place(lane, 1).id) is not None

    async def file(self, keys: Sequence[str]) -> None:
        """Moves the events of segments that this process kept into the store, in one commit."""
        filed = await self._file([self._opened(sealed) for sealed in await self._shelf.get(keys)])
        await self._shelf.remove(filed)

    async def _file(self, segments: Sequence[Segment]) -> list[str]:
        """Files segments, if nobody has yet; the keys of those that are not damaged."""
        whole, groups = [], []
        for segment in segments:
            if not segment.events:
                continue
            try:
                groups.append([change_of(event) for event in segment.events])
            except (msgspec.MsgspecError, ValueError):  # it stays, and is not in others' way
                _LOG.error("audit events from %s on cannot be filed", segment.key)
                continue
            whole.append(segment)
            await sleep(0)  # requests need not wait for all of them
        if not whole:
            return []
        try:
            await self._commit([change for group in groups for change in group])
        except Stale:  # some of them are filed
            for group in groups:
                with suppress(Stale):  # another has; if not, verification finds what lies there
                    await self._commit(group)
        return [segment.key for segment in whole]

    async def _commit(self, changes: Sequence[Change]) -> None:
        if self._store.atomic:
            await self._store.commit(changes)
            return
        for change in changes:
            with suppress(Stale):
                await self._store.commit([change])

    async def listed(self) -> AsyncIterator[Segment]:
        """Those that are not filed yet, of all lanes; and perhaps some that are."""
        async for held in self._shelf.held():
            for sealed in held.segments:
                yield self._opened(sealed)

    async def settle(self, *, of_living: bool = True, pace: Pace = _FULL) -> None:
        """Files all that other processes have not filed yet, as far as its pace lets it.

        Without `of_living`, only what nobody puts beside any more.
        """
        async for held in self._shelf.left(of_living=of_living):
            filed: list[str] = []
            for some in self._by_commit(held.segments, pace):
                filed += await self._file(some)
                await pace.rest()
                if pace.is_over():
                    break
            await self._shelf.discard(held.place, filed)
            if pace.is_over():
                break

    def _by_commit(self, segments: Sequence[Sealed], pace: Pace) -> Iterator[list[Segment]]:
        """Segments opened, as many at a time as are filed together."""
        some: list[Segment] = []
        count = 0
        for sealed in segments:
            some.append(self._opened(sealed))
            count += len(some[-1].events)
            if count >= pace.at_once():
                yield some
                some, count = [], 0
        if some:
            yield some

    async def close(self) -> None:
        """Nothing is kept any more."""
        await self._shelf.close()

    def _opened(self, sealed: Sealed) -> Segment:
        first = place_of(sealed.key)
        if first is None:
            return Segment(sealed.key, ())
        nonce, body = sealed.body[:_NONCE], sealed.body[_NONCE:]
        try:
            data = self._cipher(first.lane).decrypt(nonce, body, sealed.key.encode())
        except (InvalidTag, ValueError):
            return Segment(sealed.key, ())
        return _unpacked(sealed.key, first, data)

    def _cipher(self, lane: int) -> AESGCM:
        """A key for each lane, so that random nonces are few for it (NIST SP 800-38D, 8.3)."""
        cipher = self._ciphers.get(lane)
        if cipher is None:
            key = hmac.digest(self._key, b"segment|%d" % lane, "sha256")
            cipher = self._ciphers[lane] = AESGCM(key)
        return cipher


def _unpacked(key: str, first: Place, data: bytes) -> Segment:
    packed = msgspec.msgpack.decode(data, type=list[tuple[bytes, bytes]])
    return Segment(
        key,
        tuple(
            Linked(Place(first.lane, first.number + index).id, link, content)
            for index, (link, content) in enumerate(packed)
        ),
    )


_ENCODER: Final = msgspec.msgpack.Encoder()
_NONCE: Final = 12  # bytes
