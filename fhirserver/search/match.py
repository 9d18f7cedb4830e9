"""The reference meaning of the search language, on values in memory.

Every store must find exactly the documents that `match` says match, and give them in the
order of `in_order`; a property test holds it to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from fhirserver.search.contained import CONTAINED, local_id
from fhirserver.search.distance import distance
from fhirserver.search.entry import (
    Composite,
    Contained,
    Date,
    Entries,
    Entry,
    Number,
    Position,
    Quantity,
    Reference,
    String,
    Token,
    Uri,
    Words,
)
from fhirserver.search.expression import (
    And,
    Chain,
    Comparator,
    CompositeIs,
    DateIs,
    Expression,
    Has,
    IdIs,
    Leaf,
    Missing,
    Near,
    Not,
    NumberIs,
    Or,
    QuantityIs,
    ReferenceIs,
    SortKey,
    StringIs,
    StringMode,
    Target,
    TextIs,
    TokenIs,
    TypeIs,
    UriIs,
    UriMode,
)
from fhirserver.search.many import Many
from fhirserver.search.score import SCORE, score


@dataclass(frozen=True, slots=True)
class Document:
    """What search sees of a current resource; `last_updated` in microseconds since 1970.

    A contained resource is one as well (`fhirserver.search.contained`).
    """

    type: str
    id: str
    last_updated: int
    entries: Entries = field(default_factory=dict)


World: TypeAlias = Mapping[tuple[str, str], Document]
"""All current resources by (type, id), for what looks beyond one resource."""

EMPTY_WORLD: World = {}


def world_of(documents: Iterable[Document]) -> World:
    """The world of some resources, what they contain included."""
    return {
        (item.type, item.id): item
        for document in documents
        for item in (document, *contained_in(document))
    }


def contained_in(document: Document) -> Iterator[Document]:
    """What a resource contains; that was updated when it was."""
    for entry in document.entries.get(CONTAINED, ()):
        if isinstance(entry, Contained):
            yield Document(entry.type, entry.id, document.last_updated, entry.entries)


def match(expression: Expression, document: Document, world: World = EMPTY_WORLD) -> bool:
    """Whether the resource is one that the expression means."""
    match expression:
        case And(parts):
            return all(match(part, document, world) for part in parts)
        case Or(parts):
            return any(match(part, document, world) for part in parts)
        case Not(part):
            return not match(part, document, world)
        case IdIs(ids):
            return document.id in ids or local_id(document.id) in ids
        case TypeIs(types):
            return document.type in types
        case Missing(param, _, missing):
            return missing is not _is_present(param, document)
        case Chain():
            return _chain(expression, document, world)
        case Has():
            return _has(expression, document, world)
        case Near() | TextIs():
            return any(_special(expression, entry) for entry in _entries(expression, document))
        case CompositeIs(param, components):
            return any(
                isinstance(entry, Composite) and all(map(match_entry, components, entry.components))
                for entry in document.entries.get(param, ())
            )
        case DateIs(param="_lastUpdated"):
            instant = Date(document.last_updated, document.last_updated + 1)
            return match_entry(expression, instant)
        case _:
            return any(match_entry(expression, entry) for entry in _entries(expression, document))


def match_entry(leaf: Leaf, entry: Entry) -> bool:
    """Whether one entry of its parameter fulfils a condition; false for one of another kind."""
    match leaf, entry:
        case TokenIs(_, values), Token():
            return any(
                value.system in (None, entry.system) and value.code in (None, entry.code)
                for value in values
            )
        case StringIs(_, mode, values), String():
            return any(_string(mode, value, entry) for value in values)
        case DateIs(_, comparator, start, end), Date():
            return DATE_COMPARATORS[comparator](entry, start, end)
        case NumberIs(), Number():
            return _number(leaf, entry)
        case QuantityIs(_, _, _, _, _, system, code), Quantity():
            return _number(leaf, entry) and _unit(system, code, entry)
        case ReferenceIs(_, Many() as targets), Reference():
            return (entry.type, entry.id) in targets
        case ReferenceIs(_, targets), Reference():
            return any(_target(target, entry) for target in targets)
        case UriIs(_, mode, values), Uri():
            return any(_uri(mode, value, entry.value) for value in values)
        case _:
            return False


def in_order(documents: Iterable[Document], sort: Iterable[SortKey]) -> list[Document]:
    """The documents in the order of the sort keys; equal ones in the order they came."""
    out = list(documents)
    for key in reversed(tuple(sort)):
        ranked = [(value, document) for document in out if (value := sort_value(key, document))]
        ranked.sort(key=lambda pair: pair[0], reverse=key.descending)
        out = [document for _, document in ranked] + [
            document for document in out if not sort_value(key, document)
        ]
    return out


def sort_value(key: SortKey, document: Document) -> tuple[int | float | str, ...]:
    """What the resource is ordered by: its least value, or descending its greatest; () if none.

    A range counts by its lower bound, a string by its folded whole text, a token by code and
    then system.
    """
    if key.param == "_id":
        return (document.id,)
    if key.param == "_lastUpdated":
        return (document.last_updated,)
    if key.param == SCORE:
        return (score(key.texts, document.entries),)
    values = [rank for entry in document.entries.get(key.param, ()) if (rank := _rank(entry))]
    if not values:
        return ()
    return max(values) if key.descending else min(values)


def _rank(entry: Entry) -> tuple[int | float | str, ...]:
    match entry:
        case Token(system, code):
            return (code, system)
        case String(folded, exact):
            return (folded,) if exact else ()
        case Date(start) | Number(start) | Quantity(start):
            return (start,)
        case Reference(type_, id_):
            return (type_, id_)
        case Uri(value):
            return (value,)
        case Composite() | Position() | Words() | Contained():
            return ()
        case _:
            assert_never(entry)


def _is_present(param: str, document: Document) -> bool:
    return param in ("_id", "_lastUpdated") or bool(
        document.entries.get(param) or document.entries.get(f"{param}:present")
    )


def _special(part: Near | TextIs, entry: Entry) -> bool:
    match part, entry:
        case Near(_, latitude, longitude, metres), Position():
            return distance(latitude, longitude, *entry) <= metres
        case TextIs(_, values), Words(text):
            words = set(text.split())
            return any(words.issuperset(value) for value in values)
        case _:
            return False


def _entries(leaf: Leaf | Near | TextIs, document: Document) -> Iterable[Entry]:
    if leaf.param is None:
        return (entry for entries in document.entries.values() for entry in entries)
    return document.entries.get(leaf.param, ())


def _chain(chain: Chain, document: Document, world: World) -> bool:
    return any(
        isinstance(entry, Reference)
        and entry.type in chain.types
        and (target := world.get((entry.type, entry.id))) is not None
        and match(chain.where, target, world)
        for entry in document.entries.get(chain.param, ())
    )


def _has(has: Has, document: Document, world: World) -> bool:
    here = Reference(document.type, document.id)
    return any(
        other.type == has.type
        and here in other.entries.get(has.param, ())
        and match(has.where, other, world)
        for other in world.values()
    )


def _string(mode: StringMode, value: str, entry: String) -> bool:
    match mode:
        case StringMode.STARTS:
            return entry.folded.startswith(value)
        case StringMode.CONTAINS:
            return value in entry.folded
        case StringMode.EXACT:
            return entry.exact == value
        case StringMode.EQUALS:
            return entry.exact != "" and entry.folded == value
        case StringMode.ENDS:
            return entry.exact != "" and entry.folded.endswith(value)
        case _:
            assert_never(mode)


def _date_equals(entry: Date, start: int, end: int) -> bool:
    return start <= entry.start and entry.end <= end


DATE_COMPARATORS: dict[Comparator, Callable[[Date, int, int], bool]] = {
    "eq": _date_equals,
    "ne": lambda entry, start, end: not _date_equals(entry, start, end),
    "gt": lambda entry, start, end: entry.end > end,
    "lt": lambda entry, start, end: entry.start < start,
    "ge": lambda entry, start, end: entry.end > end or _date_equals(entry, start, end),
    "le": lambda entry, start, end: entry.start < start or _date_equals(entry, start, end),
    "sa": lambda entry, start, end: entry.start >= end,
    "eb": lambda entry, start, end: entry.end <= start,
    "ap": lambda entry, start, end: entry.start < end and start < entry.end,
}
"""The table of https://hl7.org/fhir/R4/search.html#prefix for intervals."""


def _number(leaf: NumberIs | QuantityIs, entry: Number | Quantity) -> bool:
    low, high = entry.low, entry.high
    match leaf.comparator:
        case "eq" | "ap":
            return _within(leaf, low, high)
        case "ne":
            return not _within(leaf, low, high)
        case "gt":
            return high > leaf.value
        case "lt":
            return low < leaf.value
        case "ge":
            return high >= leaf.value
        case "le":
            return low <= leaf.value
        case "sa":
            return low > leaf.value
        case "eb":
            return high < leaf.value
        case _:
            assert_never(leaf.comparator)


def _within(leaf: NumberIs | QuantityIs, low: float, high: float) -> bool:
    return leaf.low <= low and (high < leaf.high or (low < high == leaf.high))


def _unit(system: str | None, code: str | None, entry: Quantity) -> bool:
    if system is not None:
        return entry.system == system and code in (None, entry.code)
    return code in (None, entry.code, entry.unit)


def _target(target: Target, entry: Reference) -> bool:
    if target.type is None:
        return entry.type != "" and entry.id == target.id
    return (entry.type, entry.id) == target


def _uri(mode: UriMode, value: str, entry: str) -> bool:
    match mode:
        case UriMode.EQUALS:
            return entry == value
        case UriMode.BELOW:
            return _is_below(entry, value)
        case UriMode.ABOVE:
            return _is_below(value, entry)
        case _:
            assert_never(mode)


def _is_below(child: str, parent: str) -> bool:
    return child == parent or child.startswith(parent if parent.endswith("/") else parent + "/")
