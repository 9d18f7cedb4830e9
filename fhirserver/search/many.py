"""A list of very many values in an expression, such as all patients who opted out.

It is hashed once and compared by what it is, and membership is looked up: an expression with it
costs no more than one with a few. Stores may keep what they make of one as long as it lives.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property
from typing import TypeVar

T = TypeVar("T")


class Many(tuple[T, ...]):
    """A tuple of different values; `base` without `besides` where it was made of another."""

    base: Many[T] | None = None
    besides: frozenset[T] = frozenset()

    def __new__(cls, values: Iterable[T]) -> Many[T]:
        return super().__new__(cls, dict.fromkeys(values))

    def without(self, some: Collection[T]) -> Many[T]:
        """These values but some; itself where it has none of them."""
        besides = self.members.intersection(some)
        if not besides:
            return self
        found = Many(value for value in self if value not in besides)
        found.base, found.besides = self, besides
        return found

    @cached_property
    def members(self) -> frozenset[T]:
        """The values."""
        return frozenset(self)

    @cached_property
    def _hash(self) -> int:
        return super().__hash__()

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, Many) and hash(self) != hash(other):
            return False
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __contains__(self, value: object) -> bool:
        return value in self.members
