"""When what was handed over is filed: not in the middle of a burst, unless there is much of it.

Filing takes processor time and syncs from those that answer. Until nothing was handed over for a
moment it waits, as long as there is not too much of it, or somebody waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

QUIET: Final = 0.75
"""Seconds without a ring after which a burst has ended; servers ring every half second in one."""

LONGEST: Final = 10.0
"""Seconds after which all that waits is filed."""

MUCH: Final = 96 * 1024 * 1024
"""Bytes of a tenant's journal, some 64,000 events, from which on it is filed whatever else is
done."""


@dataclass(slots=True)
class _Rung:
    """When it was rung for a tenant, first and last."""

    first: float
    last: float
    is_urgent: bool


class Due:
    """The tenants with something to be filed. Times are those of a clock that never goes back."""

    def __init__(self) -> None:
        self._rung: dict[str, _Rung] = {}

    def __bool__(self) -> bool:
        return bool(self._rung)

    def hear(self, heard: Mapping[str, bool], now: float) -> None:
        """It was rung for tenants; what it is worth says whether somebody waits for it."""
        for name, is_urgent in heard.items():
            rung = self._rung.setdefault(name, _Rung(now, now, is_urgent))
            rung.last = now
            rung.is_urgent |= is_urgent

    def find(self, names: Iterable[str], now: float) -> None:
        """Tenants have something that nobody may ring for."""
        self.hear({name: False for name in names if name not in self._rung}, now)

    def ready(self, now: float, size_of: Mapping[str, int]) -> list[str]:
        """Those whose time it is. `size_of`: bytes of their journals."""
        return sorted(
            name
            for name, rung in self._rung.items()
            if rung.is_urgent
            or now - rung.last >= QUIET
            or now - rung.first >= LONGEST
            or size_of.get(name, 0) >= MUCH
        )

    def done(self, name: str) -> None:
        """A tenant has no more to be filed."""
        self._rung.pop(name, None)
