"""Takes changed studies from the archive and projects each once it is quiet.

A study is projected when nothing came for `QUIET`, and at the latest `LONGEST` after its first
change; while a burst lasts, the waits double, so that a study of n instances makes some log(n)
versions of its ImagingStudy and not n. What FHIR's side changes (an order, a performed step) waits
for quiet as well, and for a study that is behind anyway until that is projected.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NamedTuple

from fhirserver.archive.port import Archive, Changed
from fhirserver.errors import FhirError
from fhirserver.imaging.projection.following import Following
from fhirserver.imaging.projection.lease import Lease
from fhirserver.imaging.projection.study import Projection

_LOG = logging.getLogger("fhirserver.imaging")
_SECOND: Final = 1_000_000

QUIET: Final = _SECOND // 2
LONGEST: Final = 2 * _SECOND
_CAP: Final = 32 * _SECOND
_POLL: Final = 0.2  # seconds
_POLL_OF_OTHERS: Final = 1.0  # seconds between looks at the lease, where another has it
_BATCH: Final = 1000
_TRIES: Final = 8
_FORGET: Final = 60 * _SECOND


class Projected(NamedTuple):
    """A study of which the ImagingStudy was brought up to date."""

    study: str
    imaging_study: str


class _Known(NamedTuple):
    """What is remembered of a study: until when it is left alone, how often it was projected
    (or failed) in this burst, and when that was."""

    not_before: int
    times: int
    at: int


class Projector:
    """Projects while it has the lease. `told` hears of every study that was projected: the hook
    for those who wait for one."""

    def __init__(
        self,
        archive: Archive,
        projection: Projection,
        following: Following,
        lease: Lease,
        now: Callable[[], int],
        told: Callable[[Projected], Awaitable[None]] | None = None,
    ) -> None:
        self._archive = archive
        self._projection = projection
        self._following = following
        self._lease = lease
        self._now = now
        self._told = told
        self._known: dict[str, _Known] = {}
        self._again: dict[str, int] = {}
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look for changed studies."""
        self._loop = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends, and lets another worker go on at once."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
            self._loop = None
        with suppress(FhirError):
            await self._lease.release()

    async def settle(self) -> int:
        """Projects now what is behind, quiet or not; how many studies. For commands."""
        done = 0
        while changed := await self._archive.changed(_BATCH):
            for one in changed:
                await self._project(one.study)
                done += 1
        return done

    async def _run(self) -> None:
        while True:
            poll = _POLL
            try:
                if await self._lease.held():
                    await self._turn()
                else:
                    poll = _POLL_OF_OTHERS
            except FhirError as error:  # the store is away: it is looked for again
                _LOG.warning("projection waits: %s", type(error).__name__)
            except Exception as error:  # noqa: BLE001  a loop that ended would not come back
                _LOG.error("projection waits: %s", type(error).__name__)
            await asyncio.sleep(poll)

    async def _turn(self) -> None:
        """Projects all that is due."""
        now = self._now()
        self._again |= dict.fromkeys(await self._following.changed(), now)
        behind = await self._archive.changed(_BATCH)
        for one in behind:
            self._again.pop(one.study, None)
            if self._is_due(one, now):
                if not await self._lease.held():
                    return
                await self._try(one.study)
        for uid in sorted(uid for uid, at in self._again.items() if now - at >= QUIET):
            known = self._known.get(uid, _Known(0, 0, 0))
            if now >= known.not_before and (await self._try(uid) or known.times >= _TRIES):
                del self._again[uid]
        if not self._again:
            await self._following.noted()
        self._forget(now)

    def _is_due(self, one: Changed, now: int) -> bool:
        known = self._known.get(one.study)
        if known is not None and now < known.not_before:
            return False
        if now - one.last >= QUIET:
            return True
        times = 0 if known is None else known.times
        return now - one.since >= min(LONGEST << times, _CAP)

    async def _try(self, uid: str) -> bool:
        """Projects a study; one that fails is left alone for a while, so that others go on."""
        known = self._known.get(uid, _Known(0, 0, 0))
        wait = 0
        try:
            await self._project(uid)
        except FhirError as error:
            _LOG.warning("a study was not projected: %s", type(error).__name__)
            wait = _SECOND << min(known.times, _TRIES)
        except Exception as error:  # noqa: BLE001  whatever it is, other studies go on
            _LOG.error("a study was not projected: %s", type(error).__name__)
            wait = _SECOND << min(known.times, _TRIES)
        now = self._now()
        times = min(known.times, _TRIES) + 1 if now - known.at < _FORGET else 1
        self._known[uid] = _Known(now + wait, times, now)
        return not wait

    async def _project(self, uid: str) -> None:
        study = await self._archive.study(uid)
        if study is None:
            id = await self._projection.announce(uid)
        else:
            id = await self._projection.project(study)
        if self._told is not None and id is not None:
            await self._told(Projected(uid, id))

    def _forget(self, now: int) -> None:
        for uid in [uid for uid, known in self._known.items() if now - known.at > 10 * _FORGET]:
            del self._known[uid]
