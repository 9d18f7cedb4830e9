"""Strategies for what search works on: documents, worlds of them, expressions and sort keys.

All draw from small shared pools of awkward values, so that a condition often nearly or just
matches. `test_search_documents.py` shows that they find planted faults.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from itertools import product
from math import inf
from typing import NamedTuple, TypeAlias, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from fhirserver.model.temporal import DAY, MAX_INSTANT, MIN_INSTANT, SECOND
from fhirserver.search.contained import (
    CONTAINED,
    CONTAINED_TYPE,
    CONTAINER,
    LOCAL_ID,
    MARK,
    contained_types,
)
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
    Kind,
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
    TokenValue,
    TypeIs,
    UriIs,
    UriMode,
)
from fhirserver.search.match import Document
from fhirserver.search.score import SCORE

TYPES = ("Patient", "Observation", "Group")
CONTAINED_TYPES = contained_types(TYPES[:2])
IDS = ("1", "2", "a", "A", "10")
SYSTEMS = ("", "http://a", "http://A", "urn:b")
CODES = ("", "a", "A", "a%", "%", "_", "é", "a|b")
FOLDED = ("", "a", "ab", "a%", "%", "_", "e", "b", "a b", "b a", "z", "\U0010ffff", "'")
EXACT = ("", "a", "A", "ab", "a%", "%", "_", "é", "É", "a b", "A  B")
INSTANTS = (
    MIN_INSTANT,
    -DAY,
    -1,
    0,
    1,
    SECOND,
    DAY - 1,
    DAY,
    2 * DAY,
    31 * DAY,
    MAX_INSTANT,
)
NUMBERS = (-inf, -1.0, 0.0, 0.5, 1.0, 95.0, 99.5, 100.0, 100.5, 105.0, 1e300, inf)
UNITS = ("", "mg", "MG", "g", "[lb_av]")
URIS = (
    "",
    "http://a",
    "http://a/",
    "http://a/b",
    "http://ab",
    "http://a/b/c",
    "http://A",
    "urn:a:b",
)
REFERENCES = (
    Reference("Patient", "1"),
    Reference("Patient", "2"),
    Reference("Observation", "1"),
    Reference("Group", "a"),
    Reference("Group", "10"),
    Reference("Patient", "gone"),
    Reference("", "http://a/Patient/1"),
    Reference("", "1"),
    Reference("#Patient", "Observation/1#a"),
    Reference("#Observation", "Patient/1#1"),
)

POSITIONS = (
    Position(0.0, 0.0),
    Position(0.0, -180.0),
    Position(0.0, 179.999),
    Position(0.0, -179.999),
    Position(90.0, 0.0),
    Position(90.0, 90.0),
    Position(-89.999, 12.0),
    Position(89.999, -170.0),
    Position(-36.85, 174.76),
    Position(-36.8, 174.8),
    Position(51.5, -0.1),
    Position(48.85, 2.35),
)
DISTANCES = (0.0, 1.0, 111.3, 222.5, 7_000.0, 350_000.0, 1e7, 2.0015e7, 1e9)  # metres
WORDS = ("a", "ab", "b", "é", "$5", "<", "or", "and", "not", "near", "日本", "ά", "1")

PARAMS: dict[Kind, tuple[str, ...]] = {
    "token": ("code", "status", "identifier:of-type"),
    "string": ("name", "code:text"),
    "date": ("date", "birthdate"),
    "number": ("probability",),
    "quantity": ("value-quantity",),
    "reference": ("subject", "member", "_reference"),
    "uri": ("url", "_source"),
    "position": ("near",),
    "composite": (
        "code-value-quantity",
        "code-value-quantity:canonical",
        "code-value-string",
        "relation",
        "window",
    ),
}
"""The parameters that documents have entries of, by kind."""

COMPONENTS: dict[str, tuple[Kind, ...]] = {
    "code-value-quantity": ("token", "quantity"),
    "code-value-quantity:canonical": ("token", "quantity"),
    "code-value-string": ("token", "string"),
    "relation": ("token", "reference"),
    "window": ("token", "number", "date"),
}
"""The kinds of a composite parameter's components."""

KIND_OF = {param: kind for kind, params in PARAMS.items() for param in params}
TEXTS = ("_text", "_content")
"""What has words, which is no parameter of a kind."""

PARAMS_OF_ALL = (*KIND_OF, *TEXTS)

Worlds: TypeAlias = dict[tuple[str, str], Document]
_T = TypeVar("_T")


_INTERVALS = [(start, end) for start in INSTANTS for end in INSTANTS if start < end]
_RANGES = [(low, high) for low in NUMBERS for high in NUMBERS if low <= high]
_BOUNDS = [(*outer, value) for outer in _RANGES for value in NUMBERS if outer[0] <= value]
_COMPARATORS: tuple[Comparator, ...] = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
_TARGETS = [Target(*reference) for reference in REFERENCES] + [Target(None, id) for id in IDS]
_TOKEN_VALUES = [TokenValue(*pair) for pair in product((None, *SYSTEMS), (None, *CODES))]


def _one(values: Iterable[_T]) -> SearchStrategy[_T]:
    """As `sampled_from`, whose representation of a large pool would be too long."""
    pool = tuple(values)
    return st.integers(0, len(pool) - 1).map(lambda index: pool[index])


_ENTRIES: dict[Kind, SearchStrategy[Entry]] = {
    "token": _one(Token(*pair) for pair in product(SYSTEMS, CODES)),
    "string": _one(String(*pair) for pair in product(FOLDED, EXACT)),
    "date": _one(Date(*bounds) for bounds in _INTERVALS),
    "number": _one(Number(*bounds) for bounds in _RANGES),
    "quantity": _one(
        Quantity(*bounds, *unit) for unit in product(SYSTEMS, UNITS, UNITS) for bounds in _RANGES
    ),
    "reference": st.sampled_from(REFERENCES),
    "uri": _one(Uri(value) for value in URIS),
    "position": st.sampled_from(POSITIONS),
}
_WORDS: SearchStrategy[Entry] = st.lists(
    st.sampled_from(WORDS), min_size=1, max_size=5, unique=True
).map(lambda words: Words(" ".join(words)))


def _some(values: Iterable[_T], max_size: int = 3) -> SearchStrategy[tuple[_T, ...]]:
    return st.lists(_one(values), min_size=1, max_size=max_size).map(tuple)


@cache
def _entries_of(param: str) -> SearchStrategy[tuple[Entry, ...]]:
    if param in TEXTS:
        return st.lists(_WORDS, max_size=1).map(tuple)
    kind = KIND_OF[param]
    entry = _ENTRIES[kind] if kind != "composite" else _composites(param)
    return st.lists(entry, max_size=3, unique=True).map(tuple)


def _composites(param: str) -> SearchStrategy[Entry]:
    return st.tuples(*(_ENTRIES[part] for part in COMPONENTS[param])).map(Composite)


@st.composite
def entries(draw: st.DrawFn, params: tuple[str, ...] = PARAMS_OF_ALL) -> Entries:
    """The entries that one resource has of some parameters, or only the mark of presence."""
    out: dict[str, tuple[Entry, ...]] = {}
    for param in params:
        found = draw(_entries_of(param))
        if found:
            out[param] = found
        elif param not in TEXTS and draw(st.booleans()):
            out[f"{param}:present"] = (Token("", ""),)
    return out


@st.composite
def holding(draw: st.DrawFn, container: Document, params: tuple[str, ...]) -> Document:
    """The document with one or two contained ones."""
    keys = st.tuples(st.sampled_from(CONTAINED_TYPES), st.sampled_from(("a", "1")))
    parts = []
    for type_, local in draw(st.lists(keys, min_size=1, max_size=2, unique_by=lambda key: key[1])):
        found = dict(draw(entries(params)))
        found[CONTAINER] = (Reference(container.type, container.id),)
        whole = f"{container.type}/{container.id}{MARK}{local}"
        found[LOCAL_ID] = (Token("", local), Token("", whole))
        parts.append(Contained(type_, whole, found))
    types = dict.fromkeys(Token("", part.type.removeprefix(MARK)) for part in parts)
    return replace(
        container,
        entries={**container.entries, CONTAINED: tuple(parts), CONTAINED_TYPE: tuple(types)},
    )


@cache
def documents(params: tuple[str, ...] = PARAMS_OF_ALL) -> SearchStrategy[Document]:
    """One resource with entries of some parameters, which may contain others."""
    alone = st.builds(
        lambda key, last_updated, found: Document(*key, last_updated, found),
        _one(product(TYPES, IDS)),
        st.sampled_from(INSTANTS[1:-1]),
        entries(params),
    )
    return alone.flatmap(
        lambda document: st.one_of(st.just(document), st.just(document), holding(document, params))
    )


@cache
def worlds(params: tuple[str, ...] = PARAMS_OF_ALL, max_size: int = 6) -> SearchStrategy[Worlds]:
    """A store's current resources by (type, id); many refer to each other.

    What they contain is in their entries only.
    """
    return st.lists(
        documents(params),
        min_size=1,
        max_size=max_size,
        unique_by=lambda document: (document.type, document.id),
    ).map(lambda found: {(document.type, document.id): document for document in found})


@cache
def leaves(param: str, kind: Kind) -> SearchStrategy[Leaf]:
    """Conditions on one parameter of a kind; `param` is '' for a component."""
    match kind:
        case "token":
            return _some(_TOKEN_VALUES).map(lambda values: TokenIs(param, values))
        case "string":
            texts = _some(FOLDED + EXACT)
            return st.builds(StringIs, st.just(param), st.sampled_from(StringMode), texts)
        case "date":
            asked = [*product(_COMPARATORS, _INTERVALS)]
            return _one(DateIs(param, how, *bounds) for how, bounds in asked)
        case "number" | "quantity":
            return _number_leaves(param, kind)
        case "reference":
            return _some(_TARGETS).map(lambda targets: ReferenceIs(param, targets))
        case "uri":
            texts = _some(URIS)
            return st.builds(UriIs, st.just(param), st.sampled_from(UriMode), texts)
        case _:
            raise AssertionError(kind)


def _number_leaves(param: str, kind: Kind) -> SearchStrategy[Leaf]:
    asked = _one(product(_COMPARATORS, _BOUNDS))
    units = _one(product((None, *SYSTEMS), (None, *UNITS)))
    if kind == "number":
        return asked.map(lambda of: NumberIs(param, of[0], of[1][2], *of[1][:2]))
    return st.builds(
        lambda of, unit: QuantityIs(param, of[0], of[1][2], *of[1][:2], *unit), asked, units
    )


@cache
def _conditions_on(param: str) -> SearchStrategy[Expression]:
    if param in TEXTS:
        asked_words = st.lists(_some(WORDS), min_size=1, max_size=2).map(tuple)
        return asked_words.map(lambda values: TextIs(param, values))
    kind = KIND_OF[param]
    missing = [Missing(param, kind, answer) for answer in (True, False)]
    if kind == "composite":
        parts = st.tuples(*(leaves("", part) for part in COMPONENTS[param]))
        asked: SearchStrategy[Expression] = parts.map(lambda found: CompositeIs(param, found))
    elif kind == "position":
        circles = product(POSITIONS, DISTANCES)
        asked = _one(Near(param, *place, metres) for place, metres in circles)
    else:
        asked = leaves(param, kind)
    return st.integers(0, 9).flatmap(lambda dice: st.just(missing[dice]) if dice < 2 else asked)


_ELSEWHERE: SearchStrategy[Expression] = st.one_of(
    leaves("_lastUpdated", "date"),
    _some(_TARGETS).map(lambda targets: ReferenceIs(None, targets)),
    st.lists(st.sampled_from((*IDS, "Patient/1#a")), max_size=3).map(lambda ids: IdIs(tuple(ids))),
    st.lists(st.sampled_from(TYPES + CONTAINED_TYPES), max_size=2).map(
        lambda types: TypeIs(tuple(types))
    ),
)


@cache
def expressions(
    params: tuple[str, ...] = PARAMS_OF_ALL, max_leaves: int = 4
) -> SearchStrategy[Expression]:
    """Expressions of every form, nested, on some parameters."""
    simple = st.one_of(*map(_conditions_on, params), _ELSEWHERE)
    referring = st.sampled_from([p for p in params if KIND_OF.get(p) == "reference"] or ["subject"])
    some_types = _some(TYPES + CONTAINED_TYPES, max_size=2)

    def combined(part: SearchStrategy[Expression]) -> SearchStrategy[Expression]:
        parts = st.lists(part, max_size=3).map(tuple)
        return st.one_of(
            st.builds(And, parts),
            st.builds(Or, parts),
            st.builds(Not, part),
            st.builds(Chain, referring, some_types, part),
            st.builds(Has, st.sampled_from(TYPES + CONTAINED_TYPES), referring, part),
            st.builds(Has, st.sampled_from(CONTAINED_TYPES), st.just(CONTAINER), part),
        )

    return st.recursive(simple, combined, max_leaves=max_leaves)


@cache
def sorts(params: tuple[str, ...] = PARAMS_OF_ALL) -> SearchStrategy[tuple[SortKey, ...]]:
    """Up to three sort keys, on different parameters."""
    kinds: dict[str, Kind] = {"_id": "token", "_lastUpdated": "date"}
    unordered = ("composite", "position", None)
    kinds |= {param: KIND_OF[param] for param in params if KIND_OF.get(param) not in unordered}
    keys = [SortKey(*row, down) for row in kinds.items() for down in (False, True)]
    some = _one(keys)
    if scored := [param for param in params if param in TEXTS]:
        some |= _scores(tuple(scored))
    return st.lists(some, max_size=3, unique_by=lambda key: key.param).map(tuple)


def _scores(params: tuple[str, ...]) -> SearchStrategy[SortKey]:
    """To sort by how well one or two texts fit, which need not be those that are searched by."""
    alternatives = st.lists(_some(WORDS), min_size=1, max_size=2).map(tuple)
    texts = st.builds(TextIs, st.sampled_from(params), alternatives)
    return st.builds(
        SortKey,
        st.just(SCORE),
        st.just("number"),
        st.booleans(),
        st.lists(texts, min_size=1, max_size=3).map(tuple),
    )


class Case(NamedTuple):
    """A world, what it was before, and what to ask of it. All have the same few parameters."""

    world: Worlds
    earlier: Worlds
    expressions: list[Expression]
    sorts: list[tuple[SortKey, ...]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A small world with several expressions and orders that look at what it has."""
    params = draw(_one(_CHOICES))
    plain = draw(st.lists(_conditions_on(params[0]), min_size=1, max_size=6))
    return Case(
        draw(worlds(params)),
        draw(st.just({}) | worlds(params, max_size=3)),
        plain + draw(st.lists(expressions(params), min_size=1, max_size=3)),
        draw(st.lists(sorts(params), min_size=1, max_size=2)),
    )


_CHOICES = [(param,) for param in PARAMS_OF_ALL] * 3 + [
    (first, second) for first in PARAMS_OF_ALL for second in PARAMS["reference"] if first != second
]
