"""How large a search may be: its conditions, its depth, and what a plan makes of them.

Lists of values in one condition are bound as one array and may be long.
"""

from __future__ import annotations

from fhirserver.errors import TooCostly
from fhirserver.search.expression import (
    And,
    Chain,
    Expression,
    Has,
    Not,
    Or,
    StringIs,
    StringMode,
    UriIs,
    UriMode,
)

MOST_CONDITIONS = 500
DEEPEST = 25
MOST_TABLES = 5000
"""Tables in the statements of one search; a chain to many types needs some for each."""


def check_size(where: Expression) -> None:
    """Raises `TooCostly` for an expression with too many conditions or levels."""
    waiting = [(where, 1)]
    conditions = 0
    while waiting:
        part, depth = waiting.pop()
        conditions += _weight(part)
        if conditions > MOST_CONDITIONS:
            raise TooCostly(
                f"The search has more than {MOST_CONDITIONS} conditions. Ask for less at once."
            )
        if depth > DEEPEST:
            raise TooCostly(f"The search is nested more than {DEEPEST} levels deep. Ask for less.")
        match part:
            case And(parts) | Or(parts):
                waiting.extend((inner, depth + 1) for inner in parts)
            case Not(inner):
                waiting.append((inner, depth + 1))
            case Chain() | Has():
                waiting.append((part.where, depth + 1))


def _weight(part: Expression) -> int:
    match part:
        case StringIs(_, StringMode.STARTS | StringMode.CONTAINS, values):
            return len(values)
        case UriIs(_, UriMode.BELOW | UriMode.ABOVE, values):
            return len(values)
        case _:
            return 1


class Aliases:
    """Names for the tables of a search's statements, none twice."""

    def __init__(self) -> None:
        self._given = 0

    def __call__(self) -> str:
        self._given += 1
        if self._given > MOST_TABLES:
            raise TooCostly("The search is too complex. Name the types of its chains.")
        return f"t{self._given}"
