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
"""So many findings are told of one resource."""

KEPT: Final = 20_000
"""So many findings and questions are kept, so that a hostile resource costs no more."""

_DEEP: Final = 400  # characters of a place, above which no more than MOST findings are carried

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


def under(place: str, found: Sequence[Finding]) -> list[Finding]:
    """The same findings, seen from the value that holds `place`."""
    if len(found) > MOST and len(found[-1].expression) > _DEEP:
        found = _cut_off(found, MOST)
    return [
        Issue(item.severity, item.code, place + item.expression, item.text)
        if isinstance(item, Issue)
        else item.under(place)
        for item in found
    ]


def always(*findings: Finding) -> Check:
    """The check that tells the same of every value."""

    def check(value: Json, scope: Scope = NOWHERE) -> Found:
        return list(findings) or None

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
    if not made:
        return always()
    if len(made) == 1:
        return made[0]
    if len(made) == 2:
        return _both(*made)
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


def _both(first: Check, second: Check) -> Check:
    """The frequent case of `every`."""

    def check(value: Json, scope: Scope = NOWHERE) -> Found:
        found = first(value, scope)
        if found is None:
            return second(value, scope)
        if has_errors(found):
            return found
        bad = second(value, scope)
        return found if bad is None else joined(found, bad)

    return check


def together(checks: Iterable[Check | None]) -> Check | None:
    """All the checks as one, whatever they find; None where there is none."""
    made = [check for check in checks if check is not None]
    if len(made) < 2:
        return made[0] if made else None

    def check(value: Json, scope: Scope = NOWHERE) -> Found:
        found: Found = None
        for one in made:
            bad = one(value, scope)
            if bad is not None:
                found = joined(found, bad)
        return found

    return check


def joined(first: Found, second: Sequence[Finding]) -> list[Finding]:
    """All findings of both; of more than are kept the last one tells, as an error.

    For what is not looked at may be wrong, and a question may have an error for its answer.
    """
    if first is None:
        return list(second)
    first.extend(second)
    return first if len(first) <= KEPT else _cut_off(first, KEPT)


def is_full(found: Sequence[Finding]) -> bool:
    """Whether no more findings are kept, so that looking further tells nothing."""
    return len(found) >= KEPT


def _cut_off(found: Sequence[Finding], most: int) -> list[Finding]:
    text = f"There is too much to tell: more than {most} findings. The rest was not looked at."
    return [*found[: most - 1], error("too-costly", text)]


def told(issues: list[Issue]) -> list[Issue]:
    """The issues that are told of one resource: of too many the errors before the rest."""
    if len(issues) <= MOST:
        return issues
    root = issues[0].expression.partition(".")[0]
    more = f"There are {len(issues)} findings: only {MOST} are told, errors before others."
    ranked = sorted(issues, key=lambda item: not item.is_error)
    return [*ranked[:MOST], Issue("information", "informational", root, more)]


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
