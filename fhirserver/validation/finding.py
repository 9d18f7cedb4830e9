"""Findings on their way up: each check tells places relative to the value it was given.

A check returns None for a good value, so that a good resource costs no list and no path;
only on the way back from a bad one does each level put its own name before the place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from fhirserver.model.json import Json
from fhirserver.model.outcome import Issue
from fhirserver.validation.question import Question
from fhirserver.validation.scope import NOWHERE, Scope

Finding: TypeAlias = Issue | Question
Found: TypeAlias = list[Finding] | None
Check: TypeAlias = Callable[[Json, Scope], Found]
"""A check takes a value and the resource it stands in."""

MOST: Final = 1000
"""So many findings are told of one resource, so that a hostile one costs no more."""

_SHOWN = 60
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
# Words that FHIRPath reads as operators even after a dot (http://hl7.org/fhirpath/#keywords).
_KEYWORDS = frozenset({"and", "div", "false", "implies", "mod", "or", "true", "xor"})


def error(code: str, text: str, expression: str = "") -> Issue:
    """A finding that makes the resource invalid."""
    return Issue("error", code, expression, text)


def warning(code: str, text: str, expression: str = "") -> Issue:
    """A finding that leaves the resource valid."""
    return Issue("warning", code, expression, text)


def refused(code: str, expected: str, value: Json) -> list[Finding]:
    """The one finding about a value that is not what was expected."""
    return [error(code, f"Expected {expected}, found {shown(value)}.")]


def under(place: str, found: Iterable[Finding]) -> list[Finding]:
    """The same findings, seen from the value that holds `place`."""
    return [
        Issue(item.severity, item.code, place + item.expression, item.text)
        if isinstance(item, Issue)
        else item.under(place)
        for item in found
    ]


def always(*findings: Finding) -> Check:
    """The check that tells the same of every value."""

    def check(value: Json, scope: Scope = NOWHERE) -> Found:
        return list(findings)

    return check


def as_warning(finding: Finding) -> Finding:
    """The same finding, as one that leaves the resource valid."""
    return replace(finding, severity="warning") if isinstance(finding, Issue) else finding


def has_errors(found: Found) -> bool:
    """Whether one of the findings makes the resource invalid."""
    return found is not None and any(item.is_error for item in found)


def every(*checks: Check | None) -> Check:
    """All the checks as one; those after an error are left out, as they need a sound value."""
    made = [check for check in checks if check is not None]
    if len(made) == 1:
        return made[0]
    first, rest = made[0], made[1:]

    def check(value: Json, scope: Scope = NOWHERE) -> Found:
        found = first(value, scope)
        if found is not None and has_errors(found):
            return found
        for one in rest:
            bad = one(value, scope)
            if bad is not None:
                found = joined(found, bad)
        return found

    return check


def joined(first: Found, second: Sequence[Finding]) -> list[Finding]:
    """Both findings' issues, at most one more than are told."""
    if first is None:
        return list(second[: MOST + 1])
    first.extend(second[: MOST + 1 - len(first)])
    return first


def place(name: str) -> str:
    """The FHIRPath step to a property: `.name`, or with backticks where it needs them."""
    if _IDENTIFIER.fullmatch(name) and name not in _KEYWORDS:
        return f".{_cut(name)}"
    escaped = _cut(name).replace("\\", "\\\\").replace("`", "\\`")
    return f".`{escaped}`"


def shown(value: Json) -> str:
    """A JSON value in words, long ones cut."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"'{_cut(value)}'" if value else "an empty string"
        case dict():
            return "an object"
        case list():
            return "an array"
        case _:
            return f"the number {_cut(str(value))}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
