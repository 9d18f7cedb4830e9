"""The parts of a filter, and how they are written.

https://hl7.org/fhir/R4/search_filter.html. `and` and `or` have no precedence: they are taken
from left to right, so a right operand that is one of them stands in parentheses.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, assert_never, get_args

Operator: TypeAlias = Literal[
    "eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le", "ap", "sa", "eb",
    "pr", "po", "ss", "sb", "in", "ni", "re",
]  # fmt: skip
OPERATORS: tuple[Operator, ...] = get_args(Operator)


@dataclass(frozen=True, slots=True)
class Step:
    """A name of a path: `subject`, `subject:Patient`, `_has:Observation:patient:code`.

    `where` is a filter on what it refers to: `subject[gender eq male].name`.
    """

    name: str
    where: Filter | None = None


@dataclass(frozen=True, slots=True)
class Test:
    """`path operator value`. `at` is where it stands in the text, counted from 1."""

    path: tuple[Step, ...]
    operator: Operator
    value: str
    at: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Logical:
    """Two filters of which both (`and`) or one (`or`) must hold."""

    operator: Literal["and", "or"]
    left: Filter
    right: Filter


@dataclass(frozen=True, slots=True)
class Negation:
    """`not (filter)`"""

    part: Filter


Filter: TypeAlias = Test | Logical | Negation


def written(part: Filter) -> str:
    """The text of a filter, which parses to the same."""
    match part:
        case Test(path, operator, value):
            return f"{written_path(path)} {operator} {json.dumps(value, ensure_ascii=False)}"
        case Logical(operator, left, right):
            after = f"({written(right)})" if isinstance(right, Logical) else written(right)
            return f"{written(left)} {operator} {after}"
        case Negation(inner):
            return f"not ({written(inner)})"
        case _:
            assert_never(part)


def written_path(path: tuple[Step, ...]) -> str:
    """The text of a path."""
    return ".".join(
        step.name if step.where is None else f"{step.name}[{written(step.where)}]" for step in path
    )
