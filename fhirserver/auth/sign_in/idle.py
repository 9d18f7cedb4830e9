"""Sessions that nobody uses are locked by the server's clock, and that is put on record.

It happens when a browser comes back too late, or else within a minute, whether anybody comes or
not. A lock that cannot be recorded is tried again.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from starlette.requests import Request

from fhirserver.auth.sign_in.trail import Trail
from fhirserver.errors import FhirError
from fhirserver.identity.sessions import Sessions

_SECONDS: Final = 60.0
_LOG = logging.getLogger("fhirserver.sessions")


class IdleLocks:
    """`sessions` are a tenant's, `trail` is where its sign-in pages record."""

    def __init__(self, sessions: Sessions, trail: Trail) -> None:
        self._sessions = sessions
        self._trail = trail
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look every minute."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def lock(self, key: str, request: Request | None = None) -> None:
        """Locks the session of that key and records it, if it is idle and nobody did so before.

        Raises `Unavailable` where it cannot be recorded.
        """
        found = await self._sessions.lock(key)
        if found is None:
            return
        try:
            await self._trail.locked(found, request)
        except BaseException:
            await self._sessions.unlock(found.session)
            raise

    async def sweep(self) -> None:
        """Locks all that are idle."""
        async for key in self._sessions.idle():
            await self.lock(key)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS)
            try:
                await self.sweep()
            except FhirError as error:
                _LOG.warning("idle sessions could not be locked: %s", error.text)
