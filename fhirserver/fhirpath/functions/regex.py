"""Regular expressions that cannot run away.

https://hl7.org/fhirpath/N1/#matchesregex-string-boolean: case-sensitive, single line, Unicode.
Python's engine backtracks, and patterns come from callers, so a pattern is taken only if
`fhirserver.fhirpath.functions.backtracking` finds its worst case small on the given text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from fhirserver.fhirpath.context import check_length
from fhirserver.fhirpath.errors import FhirPathExecutionError
from fhirserver.fhirpath.functions.backtracking import Cost, cost

MAX_PATTERN: Final = 2_000
_MAX_TRIES: Final = 3 * 10**7
_TRIES_PER_STEP: Final = 50

_FLAGS: Final = {"i": re.IGNORECASE, "m": re.MULTILINE}
_NAMED = re.compile(r"\(\?<(?![=!])")
_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\d))")


class _Pattern(NamedTuple):
    """`from_start` if it can only match where the text begins, or might as well."""

    compiled: re.Pattern[str]
    cost: Cost
    from_start: bool


def steps(pattern: str, text: str) -> int:
    """What matching counts as, at worst, among the steps of an evaluation."""
    found = _pattern(pattern, "")
    return found.cost.tries(len(text), anywhere=not found.from_start) // _TRIES_PER_STEP


def search(pattern: str, text: str, flags: str = "") -> bool:
    """Whether the pattern matches somewhere in the text."""
    found = _pattern(pattern, flags)
    _check(found, text, anywhere=not found.from_start)
    match = found.compiled.match if found.from_start else found.compiled.search
    return match(text) is not None


def fullmatch(pattern: str, text: str, flags: str = "") -> bool:
    """Whether the pattern matches the whole text."""
    found = _pattern(pattern, flags)
    _check(found, text, anywhere=False)
    return found.compiled.fullmatch(text) is not None


def replace(pattern: str, text: str, substitution: str, flags: str = "") -> str:
    """The text with each match replaced; `$1` and `${name}` stand for groups."""
    found = _pattern(pattern, flags)
    _check(found, text, anywhere=True)
    length = len(text)

    def substituted(match: re.Match[str]) -> str:
        nonlocal length
        put = _REFERENCE.sub(lambda reference: _group(match, reference), substitution)
        length += len(put)
        check_length(length)
        return put

    return found.compiled.sub(substituted, text)


def _group(match: re.Match[str], reference: re.Match[str]) -> str:
    name = reference[1] or reference[2]
    try:
        return match[int(name) if name.isdigit() else name] or ""
    except IndexError:
        return reference[0]


def _check(pattern: _Pattern, text: str, *, anywhere: bool) -> None:
    if pattern.cost.tries(len(text), anywhere=anywhere) > _MAX_TRIES:
        raise FhirPathExecutionError(
            f"The pattern may take too long on {len(text)} characters: begin it with ^, and let "
            "neighbouring repeats match different characters."
        )


@lru_cache(256)
def _pattern(pattern: str, flags: str) -> _Pattern:
    if len(pattern) > MAX_PATTERN:
        raise FhirPathExecutionError(f"Write the pattern in at most {MAX_PATTERN} characters.")
    python = _NAMED.sub("(?P<", pattern)
    wanted = re.DOTALL
    for flag in flags:
        if flag not in _FLAGS:
            raise FhirPathExecutionError(f"'{flag}' is not a flag: use i or m.")
        wanted |= _FLAGS[flag]
    try:
        compiled = re.compile(python, wanted)
    except (re.error, RecursionError, OverflowError) as error:
        raise FhirPathExecutionError(f"'{pattern}' is no regular expression: {error}.") from None
    found = cost(python, wanted)
    # A leading .* reaches whatever a search would begin at.
    anchored = pattern.startswith(("^", ".*")) and "m" not in flags and not found.alternatives
    return _Pattern(compiled, found, anchored)
