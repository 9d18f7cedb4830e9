"""Where failures and requests are counted: in this worker, or in Redis for all of them.

A Redis that does not answer within half a second counts as away, and is not asked again for a
second: nobody's request waits for it twice.
"""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from limits import RateLimitItem
from limits.aio.storage import Storage
from limits.aio.strategies import MovingWindowRateLimiter, SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.util import WindowStats

IN_PROCESS: Final = "async+memory://"
"""Counts of this worker alone; `async+redis://HOST` counts for all."""

_ANSWERS_WITHIN: Final = 0.5
_LEFT_ALONE: Final = 1.0

_T = TypeVar("_T")


def sliding(storage: str) -> SlidingWindowCounterRateLimiter:
    """Counts of a window that slides, roughly. Raises `limits.errors.ConfigurationError` for a
    storage whose driver is not there; its verbs raise `StorageError` while it is away."""
    found = _storage(storage)
    if storage == IN_PROCESS:
        return SlidingWindowCounterRateLimiter(found)
    return _Sliding(found)


def moving(storage: str) -> MovingWindowRateLimiter:
    """The same, to the instant: each count is kept."""
    found = _storage(storage)
    return MovingWindowRateLimiter(found) if storage == IN_PROCESS else _Moving(found)


def _storage(address: str) -> Storage:
    options: dict[str, Any] = {}
    if address != IN_PROCESS:
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        options = {
            "implementation": "redispy",
            "socket_timeout": _ANSWERS_WITHIN,
            "socket_connect_timeout": _ANSWERS_WITHIN,
            # A connection that Redis closed when it was stopped is made anew once.
            "retry": Retry(NoBackoff(), 1),
        }
    found = storage_from_string(address, wrap_exceptions=True, **options)
    assert isinstance(found, Storage)
    return found


class _Left:
    """Whether a storage is left alone for a while."""

    def __init__(self) -> None:
        self._until = 0.0

    async def ask(self, question: Coroutine[Any, Any, _T]) -> _T:
        """The answer. Raises `StorageError`."""
        if time.monotonic() < self._until:
            question.close()
            raise StorageError(ConnectionError("It did not answer a moment ago."))
        try:
            return await question
        except StorageError:
            self._until = time.monotonic() + _LEFT_ALONE
            raise


class _Sliding(SlidingWindowCounterRateLimiter):
    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self._left = _Left()

    async def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        return await self._left.ask(super().hit(item, *identifiers, cost=cost))

    async def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        return await self._left.ask(super().test(item, *identifiers, cost=cost))

    async def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        return await self._left.ask(super().get_window_stats(item, *identifiers))


class _Moving(MovingWindowRateLimiter):
    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self._left = _Left()

    async def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        return await self._left.ask(super().hit(item, *identifiers, cost=cost))

    async def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        return await self._left.ask(super().test(item, *identifiers, cost=cost))
