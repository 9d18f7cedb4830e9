"""Answers that go out together: those of one turn of the event loop, at its end.

A write to a socket wakes its reader, which costs more than the write; and what is done for many
requests in one go finds its code and data at hand. An answer waits for the rest of its turn only,
and no longer than `LONGEST` if another is ready then.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final
from weakref import WeakKeyDictionary

LONGEST: Final = 0.002
"""Seconds after which the answers that wait go out with the next one, at the latest."""


class Outgoing:
    """What waits to be written by one event loop, in order; of a connection at most one answer.

    Whoever writes to such a connection in another way, or closes it, calls `flush` before. An
    answer to the next request of a connection comes later by itself: its task begins in a later
    turn, behind the flush.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
        self._waiting: list[tuple[asyncio.WriteTransport, bytes]] = []
        self._since = 0.0

    def add(self, transport: asyncio.WriteTransport, data: bytes) -> None:
        """Takes an answer."""
        waiting = self._waiting
        waiting.append((transport, data))
        if len(waiting) == 1:
            self._since = time.monotonic()
            self._call_soon(self.flush)
        elif time.monotonic() - self._since > LONGEST:
            self.flush()

    def flush(self) -> None:
        """Writes what waits, but to connections that are gone."""
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            if not transport.is_closing():
                with suppress(RuntimeError):  # nothing more can be written to that one
                    transport.write(data)


_BY_LOOP: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, Outgoing]] = WeakKeyDictionary()


def outgoing_of(loop: asyncio.AbstractEventLoop) -> Outgoing:
    """The one of a loop."""
    found = _BY_LOOP.get(loop)
    if found is None:
        found = _BY_LOOP[loop] = Outgoing(loop)
    return found
