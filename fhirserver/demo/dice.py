"""Chance that a seed decides.

Only `Random.random` is used, whose sequence Python promises to keep for a seed; `choice`,
`gauss` and the like may change between versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Throws that depend on the seed and on how many were made before, on nothing else."""

    __slots__ = ("_random",)

    def __init__(self, *seed: object) -> None:
        text = ":".join(str(part) for part in seed)
        self._random = Random(text).random  # noqa: S311 - synthetic data, no secret

    def chance(self, probability: float) -> bool:
        return self._random() < probability

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self._random() * (high - low + 1))

    def pick(self, items: Sequence[T]) -> T:
        return items[int(self._random() * len(items))]

    def weighted(self, items: Sequence[tuple[T, float]]) -> T:
        """One of the items, each as likely as its weight says."""
        rest = self._random() * sum(weight for _, weight in items)
        for item, weight in items:
            rest -= weight
            if rest < 0:
                return item
        return items[-1][0]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different items, in the order they are drawn."""
        left = list(items)
        return [left.pop(int(self._random() * len(left))) for _ in range(min(count, len(items)))]

    def normal(self, mean: float, deviation: float) -> float:
        """A value near `mean`, never more than six deviations off (a sum of twelve throws)."""
        return mean + (sum(self._random() for _ in range(12)) - 6) * deviation
