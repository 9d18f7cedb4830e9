"""SMART scopes: their grammar, which of two is the narrower, and what they say in plain words.

https://hl7.org/fhir/smart-app-launch/STU2.2/scopes-and-launch-context.html. A scope is taken as
it is spelled or refused: letters out of order, doubled or unknown are never read as something
else. A scope of version 1 means letters: `.read` is `rs`, `.write` is `cud`, `.*` is `cruds`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, cast
from urllib.parse import quote, unquote_to_bytes

from fhirserver.errors import Invalid
from fhirserver.search.escape import split

Level: TypeAlias = Literal["patient", "user", "system"]
Pair: TypeAlias = tuple[str, str]

LETTERS: Final = "cruds"
ANY: Final = "*"

V1: Final = {"read": "rs", "write": "cud", "*": "cruds"}
"""What the permissions of version 1 mean."""

_RESOURCE = re.compile(
    r"(patient|user|system)/(\*|[A-Z][A-Za-z]{1,63})\.([a-z*]+)(?:\?(.*))?", re.ASCII | re.DOTALL
)
_LETTERS = re.compile("c?r?u?d?s?")
_NAMED = re.compile(
    r"openid|profile|fhirUser|online_access|offline_access|launch(?:/[a-z]+)?"
    r"|smart/orchestrate_launch",
    re.ASCII,
)
_CHARACTERS = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")  # RFC 6749, 3.3
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9-]*|_id|_lastUpdated|_profile|_security|_source|_tag")
_PLAIN: Final = "-._~!$'()*,:@/|"
_MAX_SCOPES: Final = 500
_MAX_LENGTH: Final = 2000
_MAX_PAIRS: Final = 20


class InvalidScope(Invalid):
    """A scope that is not one; OAuth's `invalid_scope`."""


@dataclass(frozen=True, slots=True)
class ResourceScope:
    """A clinical scope: at `level`, resources of `type` (`*`: of every type), `letters` of cruds.

    `constraints` are search parameters and values, all of which a resource must fulfil;
    unescaped values stand between commas, as in a search. `spelled` is the permission of a
    scope of version 1 (`read`), kept so that it is written as it came.
    """

    level: Level
    type: str
    letters: str
    constraints: tuple[Pair, ...] = ()
    spelled: str = field(default="", compare=False)

    def __str__(self) -> str:
        text = f"{self.level}/{self.type}.{self.spelled or self.letters}"
        if not self.constraints:
            return text
        pairs = (f"{name}={quote(value, safe=_PLAIN)}" for name, value in self.constraints)
        return f"{text}?{'&'.join(pairs)}"

    def allows(self, type: str, letter: str) -> bool:
        """Whether it speaks of that interaction with that type, under its constraints."""
        return self.type in (ANY, type) and letter in self.letters


@dataclass(frozen=True, slots=True)
class NamedScope:
    """A scope without resources: `openid`, `launch/patient`, `offline_access`."""

    name: str

    def __str__(self) -> str:
        return self.name


Scope: TypeAlias = ResourceScope | NamedScope


def parse_scope(text: str) -> Scope:
    """The scope that `text` is. Raises `InvalidScope`, without repeating more than its head."""
    if len(text) > _MAX_LENGTH or not _CHARACTERS.fullmatch(text):
        raise InvalidScope("A scope has up to 2000 of the characters that RFC 6749 allows.")
    if _NAMED.fullmatch(text):
        return NamedScope(text)
    found = _RESOURCE.fullmatch(text)
    if found is None:
        raise InvalidScope(f"'{text[:60]}' is not a scope: write patient/Observation.rs")
    level, type_, permission, query = found.groups()
    if permission in V1:
        if query is not None:
            raise InvalidScope(f"'{text[:60]}': constraints need letters, such as .rs?")
        return ResourceScope(cast("Level", level), type_, V1[permission], spelled=permission)
    if not _LETTERS.fullmatch(permission):
        raise InvalidScope(f"'{text[:60]}': the letters are some of 'cruds', in that order")
    return ResourceScope(cast("Level", level), type_, permission, _constraints(text, query))


def parse_scopes(text: str | Iterable[str]) -> tuple[Scope, ...]:
    """The scopes of a space-separated list (or of several texts), each once, in their order.

    Raises `InvalidScope` for the first that is none; '' has none.
    """
    texts = text.split(" ") if isinstance(text, str) else list(text)
    if len(texts) > _MAX_SCOPES:
        raise InvalidScope(f"More than {_MAX_SCOPES} scopes.")
    return tuple(dict.fromkeys(parse_scope(item) for item in texts if item))


def resource_scopes(scopes: Iterable[Scope]) -> tuple[ResourceScope, ...]:
    """Those of the scopes that speak of resources."""
    return tuple(item for item in scopes if isinstance(item, ResourceScope))


def narrows(inner: Scope, outer: Scope) -> bool:
    """Whether whatever `inner` allows, `outer` allows as well.

    Told from the spelling alone: `False` also where only the data would show it.
    """
    if isinstance(inner, NamedScope) or isinstance(outer, NamedScope):
        return inner == outer
    return (
        inner.level == outer.level
        and outer.type in (ANY, inner.type)
        and set(inner.letters) <= set(outer.letters)
        and all(_is_kept(pair, inner.constraints) for pair in outer.constraints)
    )


def within(inner: Scope, outer: Iterable[Scope]) -> bool:
    """Whether the scope narrows one of `outer`, or each letter of it does, as they may be apart."""
    scopes = tuple(outer)
    if any(narrows(inner, item) for item in scopes):
        return True
    if isinstance(inner, NamedScope):
        return False
    return all(
        any(narrows(_of_letter(inner, letter), item) for item in scopes) for letter in inner.letters
    )


def in_words(scope: Scope) -> str:
    """What a person agrees to who grants the scope, in plain English."""
    if isinstance(scope, NamedScope):
        return _NAMED_WORDS.get(scope.name, f"Know what is open in your session ({scope.name})")
    what = " and ".join(_VERBS[letters] for letters in _verbs(scope.letters))
    whose = _WHOSE[scope.level]
    type_ = "everything" if scope.type == ANY else f"{_spaced(scope.type)} entries"
    text = f"{what} {type_} {whose}"
    if scope.constraints:
        text += ", only where " + " and ".join(
            f"{name} is {' or '.join(split(value, ','))}" for name, value in scope.constraints
        )
    return text[0].upper() + text[1:]


def _of_letter(scope: ResourceScope, letter: str) -> ResourceScope:
    return ResourceScope(scope.level, scope.type, letter, scope.constraints)


def _is_kept(outer: Pair, constraints: tuple[Pair, ...]) -> bool:
    """Whether one of the constraints asks for at least as much as `outer`."""
    name, value = outer
    values = set(split(value, ","))
    return any(name == other and set(split(given, ",")) <= values for other, given in constraints)


def _constraints(scope: str, query: str | None) -> tuple[Pair, ...]:
    if query is None:
        return ()
    parts = query.split("&")
    if len(parts) > _MAX_PAIRS:
        raise InvalidScope(f"'{scope[:60]}' has more than {_MAX_PAIRS} constraints.")
    return tuple(sorted(dict.fromkeys(_constraint(scope, part) for part in parts)))


def _constraint(scope: str, part: str) -> Pair:
    name, equals, value = part.partition("=")
    if not equals or not value or not _PARAMETER.fullmatch(name):
        raise InvalidScope(
            f"'{scope[:60]}': a constraint is a search parameter and its value, without "
            "modifier, chain, _has or _include."
        )
    if "+" in value or _BROKEN.search(value):
        raise InvalidScope(f"'{scope[:60]}': write a space as %20, a plus as %2B.")
    try:
        text = unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise InvalidScope(f"'{scope[:60]}' is not UTF-8 in percent encoding.") from None
    if not text.isprintable():
        raise InvalidScope(f"'{scope[:60]}' has characters that are not printable.")
    return name, text


# --- plain words ----------------------------------------------------------------------------


_VERBS: Final = {
    "r": "read",
    "s": "search",
    "rs": "see",
    "c": "add",
    "u": "change",
    "d": "delete",
}
_WHOSE: Final = {
    "patient": "in the record of the one patient who is chosen",
    "user": "that you may see yourself",
    "system": "of all patients, as far as this app may",
}
_NAMED_WORDS: Final = {
    "openid": "Know who you are",
    "profile": "Know your name",
    "fhirUser": "Know who you are in the records here, and read that entry",
    "launch": "Know which patient is open in your session",
    "launch/patient": "Have a patient chosen",
    "launch/encounter": "Have a visit chosen",
    "online_access": "Go on while you are signed in",
    "offline_access": "Go on when you are away, until you withdraw it",
    "smart/orchestrate_launch": "Open other apps for you",
}
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def _verbs(letters: str) -> tuple[str, ...]:
    seeing = "".join(letter for letter in "rs" if letter in letters)
    return ((seeing,) if seeing else ()) + tuple(item for item in "cud" if item in letters)


def _spaced(type: str) -> str:
    return _CAPITAL.sub(" ", type).lower()
