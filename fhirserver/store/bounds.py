"""How large a search may be: its conditions, and its depth.

Lists of values in one condition are one array to a store and may be long.
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
