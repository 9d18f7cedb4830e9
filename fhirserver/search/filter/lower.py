"""What a filter means in the language of search.

https://hl7.org/fhir/R4/search_filter.html. Values are compared as an ordinary search compares
them. `ne` of texts, codes, references and URIs: there is a value, and none that is equal.
`sw` is a text search: from the start of the text or of a later word in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias, assert_never

from fhirserver.errors import Invalid, TooCostly
from fhirserver.model.temporal import interval
from fhirserver.search.escape import unescape
from fhirserver.search.expression import (
    EVERYTHING,
    NOTHING,
    And,
    DateIs,
    Expression,
    IdIs,
    Kind,
    Missing,
    Not,
    Or,
    StringIs,
    StringMode,
)
from fhirserver.search.filter.parser import parse
from fhirserver.search.filter.syntax import (
    Filter,
    Logical,
    Negation,
    Operator,
    Step,
    Test,
    written_path,
)
from fhirserver.search.parameter import Parameter
from fhirserver.search.params.string import fold
from fhirserver.search.refusal import Unsupported, choice

if TYPE_CHECKING:
    from fhirserver.search.condition import Conditions

_Lower: TypeAlias = Callable[["Conditions", Parameter, Operator, str], Expression]


def filter_search(conditions: Conditions, type: str, text: str, depth: int) -> Expression:
    """What the filter `text` means for resources of a type.

    Raises `Invalid` for what is wrong, with its place in the text, and `TooCostly`.
    """
    return _lowered(conditions, type, parse(text), depth)


def _lowered(conditions: Conditions, type: str, part: Filter, depth: int) -> Expression:
    match part:
        case Logical(operator, left, right):
            both = [_lowered(conditions, type, inner, depth) for inner in (left, right)]
            made = And if operator == "and" else Or
            # Long rows of one operator stay flat, so that what walks the expression does not
            # recurse once for each.
            return made(
                tuple(one for it in both for one in (it.parts if isinstance(it, made) else (it,)))
            )
        case Negation(inner):
            return Not(_lowered(conditions, type, inner, depth))
        case Test():
            try:
                return _along(conditions, type, part, part.path, depth)
            except (Invalid, TooCostly) as error:
                raise _placed(error, part.at) from None
        case _:
            assert_never(part)


class _Placed(Invalid):
    """A refusal that tells its place already."""


class _PlacedUnsupported(Unsupported):
    """The same of what is not understood."""


def _placed(error: Invalid | TooCostly, at: int) -> Invalid | TooCostly:
    if isinstance(error, TooCostly | _Placed | _PlacedUnsupported):
        return error
    kind = _PlacedUnsupported if isinstance(error, Unsupported) else _Placed
    return kind(f"At character {at}: {error.text}")


def _along(
    conditions: Conditions, type: str, test: Test, path: tuple[Step, ...], depth: int
) -> Expression:
    """What the test means at the end of a path, whose steps may have filters of their own."""
    plain = next((n for n, step in enumerate(path) if step.where is not None), len(path) - 1)
    here, rest = path[: plain + 1], path[plain + 1 :]

    def ask(of: str, name: str, hops: int) -> Expression:
        where = here[-1].where
        if where is None:
            return _tested(conditions, of, name, test)

        def of_target(candidate: str) -> Expression:
            return And(
                (
                    _lowered(conditions, candidate, where, hops + 1),
                    _along(conditions, candidate, test, rest, hops + 1),
                )
            )

        return conditions.chain(of, name, written_path(rest), of_target)

    return conditions.reached(type, ".".join(step.name for step in here), ask, depth)


def _tested(conditions: Conditions, type: str, code: str, test: Test) -> Expression:
    if ":" in code:
        raise Unsupported(f"Write '{code.partition(':')[0]}' without a modifier in a filter.")
    special = _SPECIAL.get(code)
    if special is not None:
        return special(conditions, test.operator, test.value)
    found = conditions.parameter(type, code)
    if test.operator == "pr":
        return Missing(code, found.kind, not _truth(test.value))
    lower = _OPERATORS[found.kind].get(test.operator)
    if lower is None:
        raise _unfit(code, test.operator, _OPERATORS[found.kind])
    return lower(conditions, found, test.operator, test.value)


def _unfit(code: str, operator: str, table: Mapping[Operator, object]) -> Unsupported:
    return Unsupported(f"'{code}' cannot be asked by '{operator}': use {choice((*table, 'pr'))}.")


def _truth(value: str) -> bool:
    if value not in ("true", "false"):
        raise Invalid("Write 'pr' with true or false.")
    return value == "true"


def _by(modifier: str) -> _Lower:
    def lower(conditions: Conditions, found: Parameter, _: Operator, value: str) -> Expression:
        return conditions.lowered(found, modifier, (value,))

    return lower


def _compared(
    conditions: Conditions, found: Parameter, operator: Operator, value: str
) -> Expression:
    return conditions.lowered(found, "", (f"{operator}{value}",))


def _overlaps(_: Conditions, found: Parameter, __: Operator, value: str) -> Expression:
    return DateIs(found.code, "ap", *interval(unescape(value)))


def _other(conditions: Conditions, found: Parameter, _: Operator, value: str) -> Expression:
    equal = _OPERATORS[found.kind]["eq"](conditions, found, "eq", value)
    return And((Missing(found.code, found.kind, False), Not(equal)))


def _text(mode: StringMode) -> _Lower:
    def lower(_: Conditions, found: Parameter, __: Operator, value: str) -> Expression:
        folded = fold(unescape(value))
        if not folded:
            raise Invalid("Search a text by at least one letter or digit.")
        return StringIs(found.code, mode, (folded,))

    return lower


_ORDERED: dict[Operator, _Lower] = dict.fromkeys(
    ("eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb"), _compared
)
_OPERATORS: dict[Kind, dict[Operator, _Lower]] = {
    "string": {
        "eq": _text(StringMode.EQUALS),
        "ne": _other,
        "co": _text(StringMode.CONTAINS),
        "sw": _text(StringMode.STARTS),
        "ew": _text(StringMode.ENDS),
    },
    "token": {
        "eq": _by(""),
        "ne": _other,
        "ss": _by("below"),
        "sb": _by("above"),
        "in": _by("in"),
        "ni": _by("not-in"),
    },
    "date": {**_ORDERED, "po": _overlaps},
    "number": _ORDERED,
    "quantity": _ORDERED,
    "reference": {"eq": _by(""), "ne": _other, "re": _by("")},
    "uri": {"eq": _by(""), "ne": _other},
    "composite": {"eq": _by(""), "ne": _other},
    "position": {"eq": _by("")},
}
"""What each type of parameter can be asked; `pr` goes with all."""


def _id(_: Conditions, operator: Operator, value: str) -> Expression:
    match operator:
        case "eq":
            return IdIs((value,))
        case "ne":
            return Not(IdIs((value,)))
        case "pr":
            return EVERYTHING if _truth(value) else NOTHING
        case _:
            raise Unsupported(f"'_id' cannot be asked by '{operator}': use eq, ne or pr.")


def _last_updated(conditions: Conditions, operator: Operator, value: str) -> Expression:
    if operator == "pr":
        return EVERYTHING if _truth(value) else NOTHING
    if operator == "po":
        return DateIs("_lastUpdated", "ap", *interval(value))
    if operator not in _ORDERED:
        raise _unfit("_lastUpdated", operator, _OPERATORS["date"])
    return conditions.last_updated("", f"{operator}{value}")


_SPECIAL: dict[str, Callable[[Conditions, Operator, str], Expression]] = {
    "_id": _id,
    "_lastUpdated": _last_updated,
}
"""Parameters of every type that are not in the index."""
