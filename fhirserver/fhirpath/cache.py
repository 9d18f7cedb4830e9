"""The compiled expressions that are kept, bounded by the length of their texts.

Expressions come from callers as well as from definitions, so neither their number nor their
size may decide how much memory is used.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Kept = TypeVar("Kept")


class Cache(Generic[Kept]):
    """What `make` gives for texts; the least recently used are dropped."""

    def __init__(self, make: Callable[[str], Kept], capacity: int) -> None:
        self._make = make
        self._capacity = capacity
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._length = 0
        self._lock = Lock()

    def get(self, text: str) -> Kept:
        """The value of a text, made if it is not there."""
        with self._lock:
            found = self._kept.get(text)
            if found is not None:
                self._kept.move_to_end(text)
                return found
        made = self._make(text)
        with self._lock:
            if text not in self._kept:
                self._kept[text] = made
                self._length += len(text)
            while self._length > self._capacity:
                dropped, _ = self._kept.popitem(last=False)
                self._length -= len(dropped)
        return made

    @property
    def length(self) -> int:
        """How many characters the kept texts have together."""
        return self._length
