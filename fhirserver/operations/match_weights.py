"""What agreement and disagreement of two patients' properties count, as data.

A score is what agrees, less what disagrees, as a part of all that could agree; but of no less
than `ENOUGH`, so that little data never makes a certain match.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple


class Weight(NamedTuple):
    """Points for a property that is the same, that is nearly so, and that differs."""

    agrees: Decimal
    nearly: Decimal
    differs: Decimal


def _weight(agrees: str, nearly: str, differs: str) -> Weight:
    return Weight(Decimal(agrees), Decimal(nearly), Decimal(differs))


WEIGHTS: Final = {
    "identifier": _weight("10", "0", "-3"),
    "birthDate": _weight("5", "2", "-5"),
    "family": _weight("4", "2", "-3"),
    "given": _weight("3", "1.5", "-2"),
    "phone": _weight("4", "0", "0"),
    "email": _weight("4", "0", "0"),
    "gender": _weight("0.5", "0", "-3"),
    "postalCode": _weight("1.5", "0", "-0.5"),
}

ENOUGH: Final = Decimal(14)

GRADES: Final = (
    (Decimal("0.95"), "certain"),
    (Decimal("0.70"), "probable"),
    (Decimal("0.40"), "possible"),
)
"""The least score of each grade of http://terminology.hl7.org/CodeSystem/match-grade; what has
less is no match."""
