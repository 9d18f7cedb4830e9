"""The tenant's head: one document through which every commit passes.

Its number goes up by a compare-and-set, so that of all processes one commits at a time, and
what a commit looked at before (versions, expectations) still holds if the number does.

With transactions, head and documents change in one of them. Without, the compare-and-set
also leaves in the head what is to be written (`pending`): that is the moment of the commit.
The documents are then written and `pending` is taken away. Whoever finds it there does the
same; every step of it may be repeated, so a process that dies half-way loses and doubles
nothing. `done` is the last number whose documents are written: what readers start from.

Notes of commits are in the head as well until they are forgotten, so that they take no step more.

A process that lost several times asks for the `turn`: for a second no other may commit.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from bson import Int64
from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import AutoReconnect, BulkWriteError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from fhirserver.errors import Unavailable
from fhirserver.store.mongo.batch import Head, Writing
from fhirserver.store.mongo.connection import MAJORITY, Connection, is_passing
from fhirserver.store.mongo.document import Json, entered_before
from fhirserver.store.port import Noted

_DUPLICATE: Final = 11000
_PATIENCE: Final = 20.0  # seconds in which a transaction's commit is asked for again
_PERSISTENCE: Final = 10.0  # seconds in which it is looked for what became of a commit
_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 1.0
_TURN: Final = 1000  # milliseconds that a turn lasts
_COMMIT: Final = 10_000  # milliseconds that the server may take to commit a transaction


class Lost(Exception):
    """Another commit came first."""


class Existing(Lost):
    """A resource that was taken for new is there."""


class Guard:
    """The head of one tenant. `atomic`: with transactions."""

    def __init__(self, connection: Connection, tenant: str, *, atomic: bool) -> None:
        self._connection = connection
        self._tenant = tenant
        self._atomic = atomic
        self._name = secrets.token_hex(8)
        self._own: Head | None = None  # as this process left it
        self._forgotten: list[int] = []

    async def position(self) -> Head:
        """The head that readers start from."""
        found = await self._connection.tenant.find_one(
            {"_id": self._tenant}, {"done": 1, "live": 1, "u": 1, "last": 1}
        )
        return _head(found or {}, "done")

    async def counts(self) -> dict[str, int]:
        """How many current resources there are, by type."""
        found = await self._connection.tenant.find_one({"_id": self._tenant}, {"live": 1})
        live = (found or {}).get("live", {})
        return {type_: int(count) for type_, count in sorted(live.items()) if count > 0}

    async def noted(self) -> list[Noted]:
        """As `ServerStore.noted`."""
        found = await self._connection.tenant.find_one({"_id": self._tenant}, {"notes": 1})
        notes = (found or {}).get("notes", {})
        return sorted(Noted(int(number), bytes(note)) for number, note in notes.items())

    def forget(self, numbers: Sequence[int]) -> None:
        """As `ServerStore.forget`."""
        self._forgotten += numbers

    async def close(self) -> None:
        """Takes away what need not be kept."""
        if self._forgotten:
            gone = {"$unset": self._notes_gone(len(self._forgotten))}
            with suppress(PyMongoError):  # whose notes are left is looked up again
                await self._connection.tenant.update_one({"_id": self._tenant}, gone)

    async def expected(self) -> Head:
        """The head as this process left it, which spares a look: should it have moved since,
        the compare-and-set tells."""
        return self._own or await self.settled()

    async def settled(self) -> Head:
        """The head that a commit starts from; what was left half-done is done first."""
        while True:
            found = await self._connection.tenant.find_one({"_id": self._tenant}, {"notes": 0})
            if found is None:
                await self._begin()
            elif "pending" in found:
                await self._finish(found["pending"])
            else:
                return _head(found, "n")

    async def confirm(self, head: Head) -> None:
        """Raises `Lost` when a commit was made since the head was so."""
        if (await self.settled()).number != head.number:
            raise Lost

    async def ask_for_turn(self) -> None:
        """Holds off other processes for a second, unless one of them does so already."""
        await self._connection.tenant.update_one(
            {"_id": self._tenant, **self._is_free()},
            {"$set": {"turn": {"w": self._name, "until": Int64(_milliseconds() + _TURN)}}},
        )

    async def write(self, batch: Writing, left: Head) -> None:
        """Commits what is to be written, by which the head becomes `left`.

        Raises `Lost` when another commit came first.
        After a failure of the network or a change of the primary it is found out whether the
        commit was made; it is repeated until that is certain.
        """
        self._own = None
        try:
            await (self._in_transaction(batch) if self._atomic else self._in_steps(batch))
        except PyMongoError as error:
            if not is_passing(error):
                raise
            await self._make_certain(batch)
        self._own = left

    async def _make_certain(self, batch: Writing) -> None:
        """Finds out what became of a commit, and repeats it. Raises `Lost` when it never can be.

        Raises `Unavailable` when that takes too long; without Retry-After, as a create must not
        be repeated unseen.
        """
        end = time.monotonic() + _PERSISTENCE
        for pause in _pauses():
            await asyncio.sleep(pause)
            try:
                if (outcome := await self._outcome(batch)) is None:
                    await (self._in_transaction(batch) if self._atomic else self._in_steps(batch))
                    return
            except Lost:
                outcome = None  # perhaps to the first try
            except PyMongoError as error:
                if not is_passing(error):
                    raise
                outcome = None
            if outcome is not None:
                if outcome:
                    return
                raise Lost
            if time.monotonic() > end:
                break
        raise Unavailable("It is not certain that this was stored. Look before you try again.")

    async def _begin(self) -> None:
        try:
            await self._connection.tenant.update_one(
                {"_id": self._tenant},
                {"$setOnInsert": {"n": Int64(0), "u": Int64(0), "done": Int64(0), "live": {}}},
                upsert=True,
            )
        except OperationFailure as error:
            if error.code != _DUPLICATE:
                raise

    async def _in_transaction(self, batch: Writing) -> None:
        """Raises `Lost` for what is certain not to be committed."""
        pending = batch.pending
        try:
            async with self._connection.client.start_session() as session:
                await session.start_transaction(
                    ReadConcern("snapshot"), MAJORITY, max_commit_time_ms=_COMMIT
                )
                try:
                    done = {"done": Int64(batch.number), **_last(pending)}
                    await self._advance(batch, done, session)
                    await self._apply(pending, session)
                except BaseException:
                    await session.abort_transaction()
                    raise
                await _commit(session)
        except BulkWriteError as error:
            failed = error.details.get("writeErrors", ())
            if any(one["code"] == _DUPLICATE for one in failed):
                raise Existing from error
            raise
        except PyMongoError as error:
            if error.has_error_label("TransientTransactionError"):
                raise Lost from error
            raise

    async def _in_steps(self, batch: Writing) -> None:
        pending = batch.pending
        await self._advance(batch, {"pending": pending}, None)
        await self._finish(pending)

    async def _advance(
        self, batch: Writing, more: Json, session: AsyncClientSession | None
    ) -> None:
        """The compare-and-set."""
        forgotten = len(self._forgotten)
        notes = {f"notes.{number}": note for number, note in batch.notes.items()}
        change: Json = {
            "$set": {
                "n": Int64(batch.number),
                "u": Int64(batch.instant),
                "w": batch.group,
                **notes,
                **more,
            },
            "$unset": {"turn": "", **self._notes_gone(forgotten)},
        }
        counted = {f"live.{type_}": Int64(step) for type_, step in batch.counted.items()}
        if counted:
            change["$inc"] = counted
        is_there: Json = {"n": Int64(batch.start), "pending": {"$exists": False}}
        done = await self._connection.tenant.update_one(
            {"_id": self._tenant, **is_there, **self._is_free()}, change, session=session
        )
        if not done.matched_count:
            raise Lost
        del self._forgotten[:forgotten]

    def _notes_gone(self, count: int) -> Json:
        return {f"notes.{number}": "" for number in self._forgotten[:count]}

    def _is_free(self) -> Json:
        """That no other process has the turn."""
        now = Int64(_milliseconds())
        return {
            "$or": [
                {"turn": {"$exists": False}},
                {"turn.w": self._name},
                {"turn.until": {"$lt": now}},
            ]
        }

    async def _finish(self, pending: Json) -> None:
        await self._apply(pending, None)
        await self._connection.tenant.update_one(
            {"_id": self._tenant, "pending.w": pending["w"]},
            {
                "$unset": {"pending": ""},
                "$set": {"done": Int64(pending["n"]), **_last(pending)},
            },
        )

    async def _apply(self, pending: Json, session: AsyncClientSession | None) -> None:
        """Writes the documents; without a transaction any of them may be there already.

        Resources come last, so that every version which they tell of is there.
        """
        tenant = self._tenant
        versions: list[Any] = [InsertOne(document) for document in pending["versions"]]
        versions += [
            UpdateOne(
                {"t": tenant, "k": over["k"], "i": over["i"], "v": over["v"]},
                {"$set": {"e": over["e"], "x": over["x"]}},
            )
            for over in pending["over"]
        ]
        versions += [
            DeleteOne({"t": tenant, "k": old["k"], "i": old["i"], "v": old["v"]})
            for old in pending["expunged"]
        ]
        await self._bulk(self._connection.version, versions, session)
        resources: list[Any] = []
        for document in pending["resources"]:
            if int(document["n"]) > int(pending["from"]):
                resources.append(InsertOne(dict(document)))
            else:
                key = {"t": tenant, "k": document["k"], "i": document["i"]}
                older = {**key, "m": {"$lt": document["m"]}}
                resources.append(ReplaceOne(older, document))
        for document in pending.get("reentered", ()):
            same = {name: document[name] for name in ("t", "k", "i", "m")}
            resources.append(ReplaceOne(same | entered_before(document["g"]), document))
        resources += [
            DeleteOne({"t": tenant, "k": old["k"], "i": old["i"], "m": {"$lte": old["m"]}})
            for old in pending["gone"]
        ]
        await self._bulk(self._connection.resource, resources, session)

    async def _bulk(
        self, collection: Any, writes: Sequence[Any], session: AsyncClientSession | None
    ) -> None:
        if not writes:
            return
        try:
            await collection.bulk_write(writes, ordered=False, session=session)
        except BulkWriteError as error:
            failed = error.details.get("writeErrors", ())
            if session is not None or any(one["code"] != _DUPLICATE for one in failed):
                raise
            if error.details.get("writeConcernErrors"):
                raise AutoReconnect("a write did not reach the majority") from error

    async def _outcome(self, batch: Writing) -> bool | None:
        """Whether the batch was committed after all; None while that can still change.

        It is decided once the head has moved in the majority's eyes: the batch moved it, and
        left its mark, or never can. It is whole when this says so.
        """
        if (await self.settled()).number == batch.start:
            return None
        if not batch.versions:
            return False  # to be done again, which does no harm
        first = batch.versions[0]
        key = {name: first[name] for name in ("t", "k", "i", "v")}
        return await self._connection.version.find_one({**key, "w": batch.group}) is not None


async def _commit(session: AsyncClientSession) -> None:
    """Commits a transaction, and asks again for a result that did not arrive."""
    end = time.monotonic() + _PATIENCE
    for pause in _pauses():
        try:
            await session.commit_transaction()
        except PyMongoError as error:
            if not error.has_error_label("UnknownTransactionCommitResult"):
                raise
            if time.monotonic() > end:
                raise
            await asyncio.sleep(pause)
        else:
            return


def _pauses() -> Iterator[float]:
    """Pauses between tries, which grow; no two processes have the same."""
    pause = _PAUSE
    while True:
        yield pause * (0.5 + random.random())  # noqa: S311 - no secret
        pause = min(pause * 2, _LONGEST_PAUSE)


def _milliseconds() -> int:
    """The time by which turns end; clocks that differ between servers only make them unfair."""
    return time.time_ns() // 1_000_000


def _last(pending: Json) -> Json:
    """The last number of each type, which readers may see when the documents are written."""
    return {f"last.{type_}": number for type_, number in pending["last"].items()}


def _head(found: Json, number: str) -> Head:
    types = tuple(sorted(found.get("live", {})))
    latest = {type_: int(last) for type_, last in found.get("last", {}).items()}
    return Head(int(found.get(number, 0)), int(found.get("u", 0)), types, latest)
