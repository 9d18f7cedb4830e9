"""Clocks that jump: what was given out at a time that has not come yet is good for nothing.

Without that, a clock that is set back would prolong what it gave out before. Clocks of machines
that share a store may differ by a minute.
"""

from __future__ import annotations

from typing import Final

LEEWAY: Final = 60_000_000
"""Microseconds by which the clocks of two machines may differ."""


def has_begun(instant: int, now: int) -> bool:
    """Whether an instant (microseconds since 1970) is not in the future."""
    return instant <= now + LEEWAY
