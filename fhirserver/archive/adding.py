"""Adding when a blob of the same bytes was deleted of late: the other half of `freeing`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future

from fhirserver.archive.port import Archive, Instance, Outcome
from fhirserver.blobs.port import Blobs


class Adding:
    """`Archive.add`, which looks for the blobs of `again`. To be made on the event loop."""

    def __init__(self, archive: Archive, blobs: Blobs | None) -> None:
        self._archive = archive
        self._blobs = blobs
        self._loop = asyncio.get_running_loop()

    async def add(self, instances: Sequence[Instance]) -> Sequence[Outcome]:
        """As `Archive.add`; what is still `again` has no blob, or its blob is being deleted."""
        return await self._looked_for(instances, await self._archive.add(instances))

    def add_soon(self, instances: Sequence[Instance]) -> Future[Sequence[Outcome]]:
        """The same from any thread."""
        answered: Future[Sequence[Outcome]] = Future()

        def settle(done: Future[Sequence[Outcome]]) -> None:
            error = done.exception()
            if error is not None:
                answered.set_exception(error)
            elif "again" in done.result() and self._blobs is not None:
                looking = self._looked_for(instances, done.result())
                later = asyncio.run_coroutine_threadsafe(looking, self._loop)
                later.add_done_callback(lambda found: _hand_on(found, answered))
            else:
                answered.set_result(done.result())

        self._archive.add_soon(instances).add_done_callback(settle)
        return answered

    async def _looked_for(
        self, instances: Sequence[Instance], outcomes: Sequence[Outcome]
    ) -> Sequence[Outcome]:
        if "again" not in outcomes or self._blobs is None:
            return outcomes
        found = list(outcomes)
        for place, one in enumerate(instances):
            if found[place] == "again" and await self._blobs.has(one.blob):
                (outcome,) = await self._archive.add([one], verified=True)
                # It may have been deleted behind the look. Now nobody deletes it any more.
                found[place] = outcome if await self._blobs.has(one.blob) else "again"
        return found


def _hand_on(done: Future[Sequence[Outcome]], answered: Future[Sequence[Outcome]]) -> None:
    error = done.exception()
    if error is not None:
        answered.set_exception(error)
    else:
        answered.set_result(done.result())
