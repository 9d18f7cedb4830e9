"""What a user can tick on the consent screen, and the scopes that come of it.

A clinical scope is offered in lines: what it reads and what it writes, by type. A scope for every
type is a line for each type there is; one for conditions or observations can be narrowed to some
of their categories. Whatever is left as it was asked is granted as it was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from fhirserver.access.scope import (
    ANY,
    LETTERS,
    Level,
    NamedScope,
    ResourceScope,
    Scope,
    resource_scopes,
)
from fhirserver.auth.granting import without_redundant
from fhirserver.auth.plain_words import (
    CATEGORIES,
    HEADINGS,
    Category,
    letters_words,
    type_words,
)

IDENTITY: Final = ("openid", "fhirUser", "profile")
LASTING: Final = ("offline_access", "online_access")
_READING: Final = frozenset("rs")

Everything: TypeAlias = Mapping[Level, Mapping[str, str]]
"""What `*` means at a level: the types, and the letters that the user's roles have for each."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something to tick. `key` is its scope as text, which the form sends back."""

    scope: ResourceScope
    words: str
    categories: tuple[Category, ...] = ()

    @property
    def key(self) -> str:
        return str(self.scope)


@dataclass(frozen=True, slots=True)
class Group:
    """Lines of one scope and kind of use; `whole`: it was asked for as 'everything'."""

    heading: str
    lines: tuple[Line, ...]
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Offer:
    """The consent screen's contents. `identity` and `lasting` are scopes without resources that
    can be ticked; `context` are those that only say what the app is told of the session."""

    scopes: tuple[Scope, ...]
    groups: tuple[Group, ...]
    identity: tuple[NamedScope, ...]
    lasting: NamedScope | None
    context: tuple[NamedScope, ...]


@dataclass(frozen=True, slots=True)
class Ticked:
    """What came back. `keys` are lines and named scopes that were ticked as they are, `some` are
    tokens of categories by line, where only some of them were."""

    keys: frozenset[str]
    some: dict[str, frozenset[str]]


def offer_of(scopes: Iterable[Scope], all: Everything) -> Offer:
    """What is offered for scopes that could all be granted; `all` is what `*` means."""
    wanted = tuple(scopes)
    names = [scope for scope in wanted if isinstance(scope, NamedScope)]
    lasting = [scope for scope in names if scope.name in LASTING]
    told = (*IDENTITY, *LASTING)
    return Offer(
        scopes=wanted,
        groups=tuple(_groups(resource_scopes(wanted), all)),
        identity=tuple(scope for scope in names if scope.name in IDENTITY),
        lasting=lasting[0] if lasting else None,
        context=tuple(scope for scope in names if scope.name not in told),
    )


def ticked_of(pairs: Iterable[tuple[str, str]]) -> Ticked:
    """What the fields of the form say: `tick` is a key, `how:KEY` one of all, some, none,
    `of:KEY` the token of a category."""
    keys: set[str] = set()
    ways: dict[str, str] = {}
    tokens: dict[str, set[str]] = {}
    for name, value in pairs:
        kind, colon, key = name.partition(":")
        if name == "tick":
            keys.add(value)
        elif kind == "how" and colon:
            ways[key] = value
        elif kind == "of" and colon:
            tokens.setdefault(key, set()).add(value)
    keys |= {key for key, way in ways.items() if way == "all"}
    some = {key: frozenset(tokens.get(key, ())) for key, way in ways.items() if way == "some"}
    return Ticked(frozenset(keys - some.keys()), some)


def everything(offer: Offer) -> Ticked:
    """As if all of the offer were ticked."""
    lines = (line.key for group in offer.groups for line in group.lines)
    named = (str(scope) for scope in (*offer.identity, offer.lasting) if scope)
    return Ticked(frozenset((*lines, *named)), {})


def granted(offer: Offer, ticked: Ticked) -> tuple[Scope, ...]:
    """The scopes of the offer as far as they are ticked, in its order."""
    found: list[Scope] = []
    for scope in offer.scopes:
        if isinstance(scope, NamedScope):
            if scope in offer.context or str(scope) in ticked.keys:
                found.append(scope)
        else:
            found += _of_scope(scope, offer, ticked)
    return tuple(without_redundant(found))


def _of_scope(scope: ResourceScope, offer: Offer, ticked: Ticked) -> list[ResourceScope]:
    lines = [
        line
        for group in offer.groups
        for line in group.lines
        if line.scope.level == scope.level
        and scope.type in (ANY, line.scope.type)
        and line.scope.constraints == scope.constraints
        and set(line.scope.letters) <= set(scope.letters)
    ]
    whole = [line.scope for line in lines if line.key in ticked.keys]
    if lines and len(whole) == len(lines):
        return [scope]
    parts = [
        replace(line.scope, constraints=(("category", category.token),))
        for line in lines
        for category in line.categories
        if category.token in ticked.some.get(line.key, ())
    ]
    return [*_joined(whole), *parts]


def _joined(scopes: Iterable[ResourceScope]) -> list[ResourceScope]:
    """Scopes that differ in their letters only as one."""
    letters: dict[tuple[Level, str, tuple[tuple[str, str], ...]], set[str]] = {}
    for scope in scopes:
        letters.setdefault((scope.level, scope.type, scope.constraints), set()).update(
            scope.letters
        )
    return [
        ResourceScope(level, type, "".join(mark for mark in LETTERS if mark in found), constraints)
        for (level, type, constraints), found in letters.items()
    ]


def _groups(scopes: Iterable[ResourceScope], all: Everything) -> Iterable[Group]:
    """Groups by level and kind of use; a scope for everything is a group of its own."""
    single: dict[tuple[Level, bool], dict[str, Line]] = {}
    whole: list[Group] = []
    for scope in scopes:
        for reads in (True, False):
            lines = _lines(scope, all, reads=reads)
            kind = (scope.level, reads)
            if scope.type == ANY:
                whole += [Group(HEADINGS[kind], tuple(_sorted(lines)), whole=True)] if lines else []
            elif lines:
                single.setdefault(kind, {}).update({line.key: line for line in lines})
    yield from (
        Group(HEADINGS[kind], tuple(_sorted(lines.values()))) for kind, lines in single.items()
    )
    yield from whole


def _lines(scope: ResourceScope, all: Everything, *, reads: bool) -> list[Line]:
    letters = "".join(mark for mark in scope.letters if (mark in _READING) is reads)
    if scope.type != ANY:
        return [_line(scope, scope.type, letters, reads=reads)] if letters else []
    found = []
    for type, allowed in all.get(scope.level, {}).items():
        both = "".join(mark for mark in letters if mark in allowed)
        found += [_line(scope, type, both, reads=reads)] if both else []
    return found


def _line(scope: ResourceScope, type: str, letters: str, *, reads: bool) -> Line:
    words = type_words(type)
    if note := letters_words(letters):
        words = f"{words} ({note})"
    if scope.constraints:
        words = f"{words}: {' and '.join(_constraint(type, *pair) for pair in scope.constraints)}"
    parts = CATEGORIES.get(type, ()) if reads and not scope.constraints else ()
    return Line(ResourceScope(scope.level, type, letters, scope.constraints), words, parts)


def _constraint(type: str, name: str, value: str) -> str:
    known = {category.token: category.words for category in CATEGORIES.get(type, ())}
    if name == "category" and value in known:
        return known[value]
    return f"only where {name} is {value}"


def _sorted(lines: Iterable[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: line.words)
