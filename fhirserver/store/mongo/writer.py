"""The commits of one process: those that wait form the next group, which is one write.

What a commit relies on is looked at on the state that the head names, without a lock; the
compare-and-set of the head then shows whether that state still was the newest. If not, the
group is put together again.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from pymongo.errors import PyMongoError

from fhirserver.errors import NotSupported, TooLarge, Unavailable
from fhirserver.model.resource import redrafted
from fhirserver.store.mongo.batch import Batch, Head, Stored, check, looked_for
from fhirserver.store.mongo.connection import Connection, refusal, unavailable
from fhirserver.store.mongo.document import keyed
from fhirserver.store.mongo.guard import Existing, Guard, Lost
from fhirserver.store.mongo.search import Searcher
from fhirserver.store.port import Change, Committed, Expectation, Kept, Key, Unchanged

_GROUP_REQUESTS: Final = 256
_GROUP_CHANGES: Final = 2000
_GROUP_BYTES: Final = 4_000_000
_LARGEST: Final = 14_000_000  # bytes of one commit without transactions, or one resource
_QUEUE: Final = 2000  # commits that may wait
_LOSSES: Final = 60  # races against other processes that a group may lose
_PATIENT_FOR: Final = 4  # of them before it asks for its turn
_PAUSE: Final = 0.002
_LONGEST_PAUSE: Final = 0.1
_PER_ENTRY: Final = 120  # bytes of an entry's keys, about


class Request(NamedTuple):
    """A commit that waits."""

    changes: Sequence[Change]
    before: Sequence[Expectation]
    after: Sequence[Expectation]
    unchanged: Unchanged | None
    note: bytes | None
    done: asyncio.Future[Committed]
    size: int


class Outcome(NamedTuple):
    request: Request
    result: Committed | BaseException

    @property
    def is_refusal(self) -> bool:
        return isinstance(self.result, BaseException)


class Writer:
    """Takes commits, and tells each its outcome."""

    def __init__(
        self,
        connection: Connection,
        tenant: str,
        guard: Guard,
        searcher: Searcher,
        clock: Callable[[], int],
        *,
        atomic: bool,
    ) -> None:
        self._connection = connection
        self._tenant = tenant
        self._guard = guard
        self._searcher = searcher
        self._clock = clock
        self._atomic = atomic
        self._waiting: deque[Request] = deque()
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    async def commit(
        self,
        changes: Sequence[Change],
        before: Sequence[Expectation],
        after: Sequence[Expectation],
        unchanged: Unchanged | None,
        note: bytes | None = None,
    ) -> Committed:
        """As `Store.commit`."""
        if self._is_closed:
            raise Unavailable("The store is closed.")
        if len(changes) > 1 and not self._atomic:
            raise NotSupported(
                "This server's store has no transactions: send the entries one by one, or as a "
                "batch. (A MongoDB replica set has them.)"
            )
        if len(self._waiting) >= _QUEUE:
            raise unavailable("Too many writes wait. Try again.")
        size = _size_of(changes)
        if not self._atomic and size > _LARGEST:
            raise TooLarge("The resource is larger than the store can hold.")
        done: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        self._waiting.append(Request(changes, before, after, unchanged, note, done, size))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await asyncio.shield(done)

    async def restore(self, versions: Sequence[Kept]) -> None:
        """As `Store.restore`. Without transactions, all must fit into one document."""
        changes = [(_change_of(one), one.version.last_updated) for one in versions]
        if _size_of([change for change, _ in changes]) > _LARGEST and not self._atomic:
            raise TooLarge("Restore fewer versions at once: this store has no transactions.")
        keys = {Key(change.type, change.id) for change, _ in changes}
        for _ in range(_LOSSES):
            head = await self._guard.settled()
            known = await self._known(keys)
            batch = Batch(self._tenant, secrets.token_hex(8), head, head.instant, known)
            for change, instant in changes:
                batch.restore(change, instant)
            try:
                if not batch.is_empty:
                    await self._guard.write(batch.writing(), batch.left)
            except Lost:
                continue
            return
        raise unavailable("Others write to this store meanwhile.")

    async def close(self) -> None:
        """Finishes what waits."""
        self._is_closed = True
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._waiting:
            group = self._gather()
            try:
                outcomes = await self._commit_group(group)
            except PyMongoError as error:
                outcomes = [Outcome(request, refusal(error)) for request in group]
            except Exception as error:  # noqa: BLE001  the task must live on, and its askers be told
                outcomes = [Outcome(request, error) for request in group]
            for request, result in outcomes:
                if isinstance(result, BaseException):
                    request.done.set_exception(result)
                    request.done.exception()  # seen, should the asker be gone
                else:
                    request.done.set_result(result)

    def _gather(self) -> list[Request]:
        group = [self._waiting.popleft()]
        changes, size = len(group[0].changes), group[0].size
        while self._waiting and len(group) < _GROUP_REQUESTS:
            following = self._waiting[0]
            changes += len(following.changes)
            size += following.size
            if changes > _GROUP_CHANGES or size > _GROUP_BYTES:
                break
            group.append(self._waiting.popleft())
        return group

    async def _commit_group(self, group: Sequence[Request]) -> list[Outcome]:
        pause = _PAUSE
        are_new_looked_for = not self._atomic
        only_writes = all(request.changes for request in group)
        for losses in range(_LOSSES):
            if losses >= _PATIENT_FOR and only_writes:
                await self._guard.ask_for_turn()
            is_settled = bool(losses) or not only_writes
            batch = await self._batch(group, are_new_looked_for, is_settled)
            outcomes = await self._admit_all(batch, group)
            try:
                if not batch.is_empty:
                    await self._guard.write(batch.writing(), batch.left)
                elif not is_settled or any(not one.is_refusal for one in outcomes):
                    await self._guard.confirm(batch.head)
            except Lost as lost:
                are_new_looked_for |= isinstance(lost, Existing)
                await asyncio.sleep(pause * random.random())  # noqa: S311 - no secret
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            return outcomes
        raise unavailable("Too many writers at once. Try again.")

    async def _batch(
        self, group: Sequence[Request], are_new_looked_for: bool, is_settled: bool
    ) -> Batch:
        """A batch for the group. With transactions, a resource that is said to be new is at
        first taken for it: its key is unique."""
        head = await (self._guard.settled() if is_settled else self._guard.expected())
        keys = {
            Key(change.type, change.id)
            for request in group
            for change in request.changes
            if change.version > 1 or are_new_looked_for
        }
        return Batch(
            tenant=self._tenant,
            group=secrets.token_hex(8),
            head=head,
            instant=self._instant(head),
            known=await self._known(keys),
        )

    def _instant(self, head: Head) -> int:
        """Now in whole milliseconds, and never before the last commit."""
        return max(self._clock() // 1000 * 1000, head.instant)

    async def _known(self, keys: Iterable[Key]) -> dict[Key, Stored]:
        wanted = keyed(self._tenant, keys)
        if not wanted:
            return {}
        found = self._connection.resource.find(
            {"$or": wanted},
            {"_id": 0, "k": 1, "i": 1, "v": 1, "n": 1, "l": 1, "p": 1},
            batch_size=_GROUP_CHANGES + 1,
        )
        return {
            Key(one["k"], one["i"]): Stored(
                int(one["v"]),
                int(one["n"]),
                one.get("l", False),
                {Key(part["k"], part["i"]): int(part["n"]) for part in one.get("p", ())},
            )
            async for one in found
        }

    async def _admit_all(self, batch: Batch, group: Sequence[Request]) -> list[Outcome]:
        """The outcomes, should the batch be written."""
        outcomes: list[Outcome] = []
        for request in group:
            try:
                outcomes.append(Outcome(request, await self._admit(batch, request)))
            except PyMongoError as error:
                batch.drop()
                outcomes.append(Outcome(request, refusal(error)))
            except Exception as error:  # noqa: BLE001  it is the asker's, whatever it is
                batch.drop()
                outcomes.append(Outcome(request, error))
        return outcomes

    async def _admit(self, batch: Batch, request: Request) -> Committed:
        batch.check(request.unchanged)
        for expected in request.before:
            await self._check(batch, expected)
        batch.stage(request.changes)
        for expected in request.after:
            await self._check(batch, expected)
        return batch.keep(request.note)

    async def _check(self, batch: Batch, expected: Expectation) -> None:
        """Looks in the store and at what the batch makes of it."""
        types = expected.types or batch.types
        limit = looked_for(expected)
        check(
            expected,
            await self._searcher.matching(types, expected.where, limit, batch.unwritten()),
        )


def _change_of(kept: Kept) -> Change:
    type_, id_, number, instant, method, body = kept.version
    draft = None if body is None else redrafted(body, type_, id_, number, instant)
    return Change(type_, id_, number, method, kept.body or draft, kept.entries)


def _size_of(changes: Sequence[Change]) -> int:
    """The bytes that a commit's documents have, about. Raises `TooLarge` for one that is over."""
    size = 0
    for change in changes:
        body = len(change.body.data) if change.body else 0
        entries = sum(map(len, change.entries.values())) * _PER_ENTRY
        if max(body, entries) > _LARGEST:
            raise TooLarge("The resource is larger than the store can hold.")
        size += body + entries
    return size
