"""The table of jobs: records of the store, each changed by compare-and-set."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from fhirserver.errors import Throttled
from fhirserver.jobs.job import Job, decode, encode
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, MAX_LISTED, Records

COLLECTION: Final = "job"
KEPT: Final = 7 * 24 * 3600 * 1_000_000
"""Microseconds for which a finished job can be asked about."""

MOST: Final = 1000
"""Jobs that may wait, beside those of which there is one at a time."""

_SETTLED: Final = 3600 * 1_000_000
"""Microseconds by which clocks of workers, and so the order of ids, may differ."""

_UNSETTLED: Final = KEPT - _SETTLED

SOLE: Final = "sole-"
"""How the ids of jobs begin of which there is one at a time; behind those of all others."""


class Held(NamedTuple):
    """A job as it was read, with the revision of its record."""

    job: Job
    revision: int


class JobTable:
    """`now` gives microseconds since 1970, `new_id` ids that grow with time."""

    def __init__(
        self, records: Records, *, now: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self._records = records
        self._new_id = new_id
        self._finished_up_to = ""
        self.now = now
        self.wake: Callable[[], None] = lambda: None
        """Called when a job was made here; a runner sets it."""

    async def create(
        self, kind: str, arguments: Mapping[str, Any] | None = None, *, subject: str = ""
    ) -> Job:
        """A new job, queued. Raises `Throttled` while `MOST` are not finished."""
        waiting = 0
        async for held in self.unfinished():
            waiting += not held.job.id.startswith(SOLE)
            if waiting >= MOST:
                raise Throttled(
                    "Too many jobs are waiting. Try again later.", headers={"Retry-After": "60"}
                )
        job = self._job(self._new_id(), kind, arguments, subject)
        await self._records.put(COLLECTION, job.id, encode(job), expected=ABSENT)
        self.wake()
        return job

    async def ensure(self, name: str, kind: str, arguments: Mapping[str, Any]) -> Job:
        """The job of that name which is not finished; a new one where there is none."""
        id = f"{SOLE}{name}"
        while True:
            held = await self.get(id)
            if held is not None and not held.job.is_finished:
                return held.job
            job = self._job(id, kind, arguments, "")
            expected = held.revision if held else ABSENT
            try:
                await self._records.put(COLLECTION, id, encode(job), expected=expected)
            except Stale:
                continue
            self.wake()
            return job

    def _job(self, id: str, kind: str, arguments: Mapping[str, Any] | None, subject: str) -> Job:
        now = self.now()
        return Job(
            id=id,
            kind=kind,
            created=now,
            changed=now,
            arguments=dict(arguments or {}),
            subject=subject,
        )

    async def get(self, id: str) -> Held | None:
        """The job of an id; None if there is none, or it finished long ago."""
        record = await self._records.get(COLLECTION, id)
        return None if record is None else Held(decode(record.body), record.revision)

    async def change(self, held: Held, **fields: Any) -> Held:
        """The job with other fields. Raises `Stale` when it was changed since it was read."""
        now = self.now()
        job = msgspec.structs.replace(held.job, changed=now, **fields)
        expires = now + KEPT if job.is_finished else None
        revision = await self._records.put(
            COLLECTION, job.id, encode(job), expected=held.revision, expires=expires
        )
        return Held(job, revision)

    async def cancel(self, id: str) -> bool:
        """Cancels the job, or tells its worker to; False where there is none to cancel."""
        while True:
            held = await self.get(id)
            if held is None or held.job.is_finished:
                return False
            fields = {"cancelling": True} if held.job.is_led(self.now()) else {"state": "cancelled"}
            try:
                await self.change(held, **fields)
            except Stale:
                continue
            return True

    async def forget(self, id: str) -> None:
        """Takes away a job that is finished."""
        held = await self.get(id)
        if held is not None and held.job.is_finished:
            await self._records.delete(COLLECTION, id)

    async def unfinished(self) -> AsyncIterator[Held]:
        """The jobs that are not finished, oldest first."""
        after = self._finished_up_to
        only_finished = True
        while True:
            records = await self._records.list(COLLECTION, after=after)
            for record in records:
                if record.expires is None:  # what is finished expires, so it need not be decoded
                    only_finished = False
                    yield Held(decode(record.body), record.revision)
                elif record.key.startswith(SOLE) or record.expires > self.now() + _UNSETTLED:
                    only_finished = False
                elif only_finished:
                    self._finished_up_to = record.key
            if len(records) < MAX_LISTED:
                return
            after = records[-1].key
