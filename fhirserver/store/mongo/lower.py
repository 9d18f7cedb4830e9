"""From the search language to MongoDB's.

A filter says what looks at one resource only. A chain and `_has` look at others, and a distance
is more than a filter can tell: of these it gives the bounds, and `links` looks at what is found.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, assert_never

from bson import Int64

from fhirserver.search.contained import LOCAL_ID
from fhirserver.search.expression import (
    And,
    Chain,
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
from fhirserver.search.many import Many
from fhirserver.store.mongo.condition import (
    NEVER,
    Filter,
    all_of,
    any_of,
    begins,
    below,
    box_condition,
    component_condition,
    contains,
    date_condition,
    negated,
    number_condition,
    paths_above,
)
from fhirserver.store.mongo.document import COMPONENTS
from fhirserver.store.mongo.keys import (
    ANY_PARAM,
    ONE,
    THREE,
    TWO,
    WORDS_OF,
    backwards,
    both,
    exact,
    first,
    plain,
    referrer,
)


def is_plain(where: Expression) -> bool:
    """Whether a filter alone tells what an expression means."""
    match where:
        case And(parts) | Or(parts):
            return all(map(is_plain, parts))
        case Not(part):
            return is_plain(part)
        case Chain() | Has() | Near():
            return False
        case _:
            return True


def bound(where: Expression, inside: bool = False) -> Filter:
    """A filter that holds of all that the expression means, and perhaps of more.

    `inside`: contained resources are looked at as well.
    """
    match where:
        case _ if is_plain(where):
            return lower(where, inside)
        case And(parts):
            return all_of([bound(part, inside) for part in parts])
        case Or(parts):
            return any_of([bound(part, inside) for part in parts])
        case Near(param):
            return {"r": {"$elemMatch": {"p": param, **box_condition(where)}}}
        case _:
            return {}


def lower(where: Expression, inside: bool = False) -> Filter:
    """The filter that holds of exactly the resources that the expression means.

    `inside`: contained ones among them, whose id within the container is a token.
    """
    match where:
        case And(parts):
            return all_of([lower(part, inside) for part in parts])
        case Or(parts):
            return any_of([lower(part, inside) for part in parts])
        case Not(part):
            return negated(lower(part, inside))
        case IdIs(ids):
            own: Filter = {"i": {"$in": list(ids)}}
            return any_of([own, _one_of([first(LOCAL_ID, id_) for id_ in ids])]) if inside else own
        case TypeIs(types):
            return {"k": {"$in": list(types)}}
        case Missing(param, kind, missing):
            present = _present(param, kind)
            return negated(present) if missing else present
        case CompositeIs():
            return _composite(where)
        case TextIs(param, values):
            return any_of([_words(WORDS_OF[param], value) for value in values])
        case Chain() | Has() | Near():
            raise AssertionError("no filter tells this")
        case _:
            return _leaf(where)


def _leaf(leaf: Leaf) -> Filter:
    match leaf:
        case TokenIs(param, values):
            return _tokens(param, values)
        case ReferenceIs(param, targets):
            return _references(param, targets)
        case StringIs(param, mode, values):
            return _strings(param, mode, values)
        case UriIs(param, mode, values):
            return _uris(param, mode, values)
        case DateIs("_lastUpdated"):
            return _instant(leaf)
        case DateIs(param):
            return {"r": {"$elemMatch": {"p": param, **date_condition(leaf)}}}
        case NumberIs(param) | QuantityIs(param):
            return {"r": {"$elemMatch": _merged(param, number_condition(leaf))}}
        case _:
            assert_never(leaf)


def _merged(param: str, condition: Filter) -> Filter:
    return {"p": param, **condition}


def _one_of(texts: list[str]) -> Filter:
    """That one of the texts is among the keys."""
    if not texts:
        return NEVER
    return {"q": texts[0]} if len(texts) == 1 else {"q": {"$in": texts}}


def _within(low: str, high: str) -> Filter:
    """That a key lies between two, which both are none."""
    return {"q": {"$elemMatch": {"$gt": low, "$lt": high}}}


def _starting(prefix: str) -> Filter:
    return {"q": {"$elemMatch": begins(prefix)}}


def _tokens(param: str, values: tuple[TokenValue, ...]) -> Filter:
    equal: list[str] = []
    others: list[Filter] = []
    for system, code in values:
        match system, code:
            case None, None:
                others.append(_starting(param + TWO))
            case None, str():
                equal.append(first(param, code))
            case str(), None:
                others.append(_starting(f"{param}{TWO}{plain(system)}{ONE}"))
            case str(), str():
                equal.append(both(param, system, code))
    return any_of([_one_of(equal), *others])


@lru_cache(maxsize=256)
def _keys_of_many(param: str | None, targets: Many[Target]) -> list[str]:
    """Made once: the list goes with each search."""
    return [
        both(param, type or "", id) if param is not None else referrer(type or "", id)
        for type, id in targets
    ]


def _references(param: str | None, targets: tuple[Target, ...]) -> Filter:
    if isinstance(targets, Many):
        return _one_of(_keys_of_many(param, targets))
    equal: list[str] = []
    others: list[Filter] = []
    for type_, id_ in targets:
        if param is None and type_ is None:
            start = f"{ANY_PARAM}{ONE}{plain(id_)}"
            others.append(_within(start + TWO, start + THREE))
        elif param is None:
            equal.append(referrer(type_ or "", id_))
        elif type_ is None:
            equal.append(first(param, id_))
        else:
            equal.append(both(param, type_, id_))
    return any_of([_one_of(equal), *others])


def _strings(param: str, mode: StringMode, values: tuple[str, ...]) -> Filter:
    match mode:
        case StringMode.STARTS:
            return any_of([_starting(first(param, value)) for value in values])
        case StringMode.CONTAINS:
            return any_of([{"q": contains(plain(value), param + ONE)} for value in values])
        case StringMode.EXACT:
            return _one_of([exact(param, value) for value in values])
        case StringMode.EQUALS:
            return _one_of([backwards(param, value) for value in values])
        case StringMode.ENDS:
            return any_of([_starting(backwards(param, value)) for value in values])
        case _:
            assert_never(mode)


def _words(letter: str, words: tuple[str, ...]) -> Filter:
    """That all are there. The longest comes first, to be sought: the seldom ones are long."""
    texts = [letter + word for word in sorted(words, key=len, reverse=True)]
    return {"w": texts[0]} if len(texts) == 1 else {"w": {"$all": texts}}


def _uris(param: str, mode: UriMode, values: tuple[str, ...]) -> Filter:
    match mode:
        case UriMode.EQUALS:
            return _one_of([first(param, value) for value in values])
        case UriMode.BELOW:
            ranges = [_starting(first(param, below(value))) for value in values]
            return any_of([_one_of([first(param, value) for value in values]), *ranges])
        case UriMode.ABOVE:
            return _one_of([first(param, path) for value in values for path in paths_above(value)])
        case _:
            assert_never(mode)


def _instant(leaf: DateIs) -> Filter:
    """On the instant of the last commit, an interval of one microsecond."""
    start, end = Int64(leaf.start), Int64(leaf.end)
    within: Filter = {"u": {"$gte": start, "$lt": end}}
    match leaf.comparator:
        case "eq" | "ap":
            return within
        case "ne":
            return {"$or": [{"u": {"$lt": start}}, {"u": {"$gte": end}}]}
        case "gt" | "sa":
            return {"u": {"$gte": end}}
        case "lt" | "eb":
            return {"u": {"$lt": start}}
        case "ge":
            return {"u": {"$gte": min(start, end)}}
        case "le":
            return {"u": {"$lt": max(start, end)}}
        case _:
            assert_never(leaf.comparator)


def _composite(where: CompositeIs) -> Filter:
    parts = [
        component_condition(leaf, f"{place}.")
        for place, leaf in zip(COMPONENTS, where.components, strict=False)
    ]
    condition = all_of(parts)
    if condition == NEVER:
        return NEVER
    tuples: Filter = {"x": {"$elemMatch": {"p": where.param, **condition}}}
    match where.components:
        case (TokenIs(_, values), *_):
            return all_of([_tokens(where.param, values), tuples])
        case _:
            return tuples


_RANGES: Final[frozenset[Kind]] = frozenset({"date", "number", "quantity", "position"})


def _present(param: str, kind: Kind) -> Filter:
    if param in ("_id", "_lastUpdated"):
        return {}
    marked = _one_of([first(f"{param}:present", "")])
    if kind in _RANGES:
        return any_of([{"r.p": param}, marked])
    if kind == "composite":
        return any_of([{"x.p": param}, marked])
    return any_of([{"q": {"$elemMatch": {"$gte": param + ONE, "$lt": param + THREE}}}, marked])
