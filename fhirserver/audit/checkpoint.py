"""How far each lane had come: kept in the store, and apart from it.

A checkpoint is sealed with the audit key. One is made before a lane's first event, then in
turns, and when the lane ends; so that events which are cut off at the end of a lane, and lanes
that are taken out whole, are found. The copy in the data folder finds a store that was put back
to an older state, checkpoints and all.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import msgspec

from fhirserver.audit.chain import Place
from fhirserver.durable import make_durable, make_folder
from fhirserver.errors import Unavailable
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, MAX_LISTED, Record, Records

COLLECTION: Final = "audit.checkpoint"


class Damaged(Unavailable):
    """A checkpoint that was not sealed with this key."""


class Checkpoint(msgspec.Struct, frozen=True):
    """`number` is that of the lane's last event by then (0: none), `link` its link (hex).

    `key` tells keys apart without telling the key; `at` is in microseconds since 1970.
    """

    tenant: str
    lane: int
    number: int
    link: str
    at: int
    key: str
    is_closed: bool = False


class _Sealed(msgspec.Struct, frozen=True):
    checkpoint: Checkpoint
    seal: str


def key_name(key: bytes) -> str:
    """A name of the key, from which it cannot be found."""
    return hmac.digest(key, b"name", "sha256").hex()[:16]


def sealed(key: bytes, checkpoint: Checkpoint) -> bytes:
    """The checkpoint as JSON with its seal."""
    return msgspec.json.encode(_Sealed(checkpoint, _seal(key, checkpoint)))


def unsealed(key: bytes, body: bytes) -> Checkpoint:
    """The checkpoint of sealed bytes. Raises `Damaged`."""
    try:
        found = msgspec.json.decode(body, type=_Sealed)
    except msgspec.MsgspecError:
        raise Damaged("a checkpoint cannot be read") from None
    if not hmac.compare_digest(found.seal, _seal(key, found.checkpoint)):
        raise Damaged(
            f"the checkpoint of lane {found.checkpoint.lane} was not sealed with this audit key"
        )
    return found.checkpoint


def _seal(key: bytes, checkpoint: Checkpoint) -> str:
    text = b"checkpoint|" + msgspec.json.encode(checkpoint)
    return hmac.digest(key, text, "sha256").hex()


class Checkpoints:
    """The checkpoints of a tenant; `folder` holds the copies, if there is one."""

    def __init__(self, records: Records, key: bytes, folder: Path | None) -> None:
        self._records = records
        self._key = key
        self._folder = folder

    async def open(self, checkpoint: Checkpoint) -> bool:
        """Keeps the first checkpoint of a new lane; False where another has that lane."""
        body = sealed(self._key, checkpoint)
        try:
            await self._records.put(COLLECTION, _name(checkpoint.lane), body, expected=ABSENT)
        except Stale:
            return False
        try:
            self._copy(checkpoint, body)
        except OSError:  # nothing is in the lane: the next one may have its place
            await self._records.delete(COLLECTION, _name(checkpoint.lane))
            raise
        return True

    async def save(self, checkpoint: Checkpoint) -> None:
        """Keeps a later checkpoint of one's own lane."""
        body = sealed(self._key, checkpoint)
        self._copy(checkpoint, body)
        await self._records.put(COLLECTION, _name(checkpoint.lane), body)

    async def last_lane(self) -> int:
        """The number of the newest lane in the store; 0 where there is none.

        Raises `Damaged` where that was recorded with another key: then nothing can be added.
        """
        last = None
        async for record in self._listed():
            last = record
        if last is None:
            return 0
        unsealed(self._key, last.body)
        return int(last.key, 16)

    async def stored(self) -> AsyncIterator[Checkpoint | Damaged]:
        """Those of the store, by lane."""
        async for record in self._listed():
            yield self._read(record.body)

    def copies(self) -> list[Checkpoint | Damaged]:
        """Those of the data folder."""
        if self._folder is None or not self._folder.is_dir():
            return []
        return [self._read(path.read_bytes()) for path in sorted(self._folder.glob("*.json"))]

    def _read(self, body: bytes) -> Checkpoint | Damaged:
        try:
            return unsealed(self._key, body)
        except Damaged as error:
            return error

    async def _listed(self) -> AsyncIterator[Record]:
        after = ""
        while True:
            page = await self._records.list(COLLECTION, after=after)
            for record in page:
                yield record
            if len(page) < MAX_LISTED:
                return
            after = page[-1].key

    def _copy(self, checkpoint: Checkpoint, body: bytes) -> None:
        """The file of the lane: whole or as it was before, on disk on return."""
        if self._folder is None:
            return
        make_folder(self._folder)
        path = self._folder / f"{_name(checkpoint.lane)}.json"
        draft = path.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
        make_durable(self._folder)


def _name(lane: int) -> str:
    return Place(lane, 0).id[:6]
