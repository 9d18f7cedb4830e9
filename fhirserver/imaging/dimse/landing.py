"""Where data sets land: buffers that all associations of a process share and use again.

Memory that is used again costs nothing; fresh memory is filled with zeros by the system first,
and on a virtual machine may have to be found by its host.
"""

from __future__ import annotations

import mmap
from threading import Lock
from typing import Final

LARGE: Final = 1 << 20
"""Bytes of a large buffer: usual images fit into it whole."""

SMALL: Final = 1 << 17
MOST_LARGE: Final = 16
"""Large buffers at the most; who finds none gets a small one."""


class Landings:
    """Buffers, taken for one data set each, from any thread.

    There are as many as data sets were under way at once: at the most `MOST_LARGE` large ones,
    and a small one for each further association.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._large: list[memoryview] = []
        self._small: list[memoryview] = []
        self._left = MOST_LARGE

    def take(self) -> memoryview:
        """A buffer, to be given back. The one used last: the processor may still have it."""
        with self._lock:
            if self._large:
                return self._large.pop()
            if self._left:
                self._left -= 1
                return memoryview(mmap.mmap(-1, LARGE))
            if self._small:
                return self._small.pop()
        return memoryview(mmap.mmap(-1, SMALL))

    def give_back(self, view: memoryview) -> None:
        """Takes back what nobody uses any more."""
        with self._lock:
            (self._large if len(view) == LARGE else self._small).append(view)
