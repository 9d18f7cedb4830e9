"""Regular expressions that cannot run away.

https://hl7.org/fhirpath/N1/#matchesregex-string-boolean: case-sensitive, single line, Unicode.
Python's engine backtracks, and patterns come from callers, so a pattern is taken only if its
worst case is bounded on the given text:

- a repeated group must not be able to split a text in several ways: what is repeated has a
  fixed length, or begins with a character that occurs nowhere else in it;
- each pair of open repeats that compete for the same characters (`.*a.*`) costs one more
  power of the length of the text, and the sum has a limit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from fhirserver.fhirpath.context import check_length
from fhirserver.fhirpath.errors import FhirPathExecutionError

MAX_PATTERN: Final = 2_000
_MAX_STEPS: Final = 10**8
_MAX_REPEATS: Final = 50

_SAMPLE: Final = [chr(code) for code in range(128)] + ["é", "中", "\u2028", "\U0001f525"]
"""Characters by which two parts are compared: do they match any of them both?"""

_FLAGS: Final = {"i": re.IGNORECASE, "m": re.MULTILINE}

_PART = re.compile(
    r"""
      (?P<open>  \( (?: \?: | \?P?<[A-Za-z_]\w*> | \?[=!] | \?<[=!] )? )
    | (?P<close> \) )
    | (?P<or>    \| )
    | (?P<set>   \[ \^? \]? (?: \\. | [^\]\\] )* \] )
    | (?P<edge>  \\[bBAZ] | \^ | \$ )
    | (?P<same>  \\[1-9] | \(\?P=\w+\) )
    | (?P<atom>  \\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|.) | [^\\] )
    """,
    re.VERBOSE | re.DOTALL,
)
_QUANTIFIER = re.compile(r"(?:([*+?])|\{(\d*)(,?)(\d*)\})([?+])?")
_NAMED = re.compile(r"\(\?<(?![=!])")
_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\d))")


def steps(pattern: str, text: str) -> int:
    """What matching counts as, at worst, among the steps of an evaluation."""
    return len(text) ** _compiled(pattern, "")[1] // 50


def search(pattern: str, text: str, flags: str = "") -> bool:
    """Whether the pattern matches somewhere in the text."""
    return _guarded(pattern, text, flags).search(text) is not None


def fullmatch(pattern: str, text: str, flags: str = "") -> bool:
    """Whether the pattern matches the whole text."""
    return _guarded(pattern, text, flags).fullmatch(text) is not None


def replace(pattern: str, text: str, substitution: str, flags: str = "") -> str:
    """The text with each match replaced; `$1` and `${name}` stand for groups."""
    found = _guarded(pattern, text, flags)
    length = len(text)

    def substituted(match: re.Match[str]) -> str:
        nonlocal length
        put = _REFERENCE.sub(lambda reference: _group(match, reference), substitution)
        length += len(put)
        check_length(length)
        return put

    return found.sub(substituted, text)


def _group(match: re.Match[str], reference: re.Match[str]) -> str:
    name = reference[1] or reference[2]
    try:
        return match[int(name) if name.isdigit() else name] or ""
    except IndexError:
        return reference[0]


def _guarded(pattern: str, text: str, flags: str) -> re.Pattern[str]:
    compiled, power = _compiled(pattern, flags)
    if len(text) ** power > _MAX_STEPS:
        raise FhirPathExecutionError(
            f"The pattern may take too long on {len(text)} characters: begin it with ^, and let "
            "neighbouring repeats match different characters."
        )
    return compiled


@lru_cache(256)
def _compiled(pattern: str, flags: str) -> tuple[re.Pattern[str], int]:
    """The compiled pattern and the power of the length of the text that it may cost."""
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
    return compiled, _Reader(python, wanted).power()


@dataclass(slots=True)
class _Atom:
    """Something that matches the characters `matched` from `least` to `most` times."""

    matched: frozenset[str]
    least: int
    most: int | None
    optional: bool = False

    @property
    def is_open(self) -> bool:
        return self.most is None or self.most > _MAX_REPEATS

    @property
    def varies(self) -> bool:
        return self.least != self.most


@dataclass(slots=True)
class _Group:
    start: int
    alternatives: list[int]


class _Reader:
    """Reads a pattern for what it may cost. Groups are looked through."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._pattern = pattern
        self._flags = flags
        self._atoms: list[_Atom] = []
        self._groups: list[_Group] = []

    def power(self) -> int:
        at = 0
        while at < len(self._pattern):
            at = self._part(at)
        return self._competing() + (0 if self._pattern.startswith("^") else 1)

    def _part(self, at: int) -> int:
        match = _PART.match(self._pattern, at)
        if match is None:
            raise FhirPathExecutionError("The pattern uses something that is not supported.")
        at = match.end()
        match match.lastgroup:
            case "open":
                self._groups.append(_Group(len(self._atoms), []))
            case "close":
                quantifier = _QUANTIFIER.match(self._pattern, at)
                self._close(quantifier)
                at = at if quantifier is None else quantifier.end()
            case "or":
                if self._groups:
                    self._groups[-1].alternatives.append(len(self._atoms))
            case "edge":
                pass
            case "same":
                self._refuse()
            case _:
                quantifier = _QUANTIFIER.match(self._pattern, at)
                least, most = _bounds(quantifier)
                self._atoms.append(_Atom(self._matched(match.group()), least, most))
                at = at if quantifier is None else quantifier.end()
        return at

    def _close(self, quantifier: re.Match[str] | None) -> None:
        if not self._groups:
            return
        group = self._groups.pop()
        least, most = _bounds(quantifier)
        inside = self._atoms[group.start :]
        if most != 1 and inside:
            self._repeated(group, inside, most)
        if least == 0 or group.alternatives:
            for atom in inside:
                atom.optional = True

    def _repeated(self, group: _Group, inside: list[_Atom], most: int | None) -> None:
        """Checks a repeated group, which goes on as one atom."""
        starts = [group.start, *group.alternatives, len(self._atoms)]
        branches = [self._atoms[a:b] for a, b in pairwise(starts)]
        firsts = [branch[0] for branch in branches if branch]
        if len(firsts) != len(branches) or not _are_apart(firsts):
            self._refuse()
        if any(atom.varies or atom.optional for atom in inside):
            for branch in branches:
                first, rest = branch[0], [a for a in inside if a is not branch[0]]
                if first.varies or first.optional or any(_compete(first, a) for a in rest):
                    self._refuse()
        everything = frozenset().union(*(atom.matched for atom in inside))
        del self._atoms[group.start :]
        self._atoms.append(_Atom(everything, 0, most))

    def _refuse(self) -> None:
        raise FhirPathExecutionError(
            "The pattern may take too long: let a repeated group begin with a character that "
            "occurs nowhere else in it, and use no back references."
        )

    def _competing(self) -> int:
        """The most open repeats that compete for the same characters in a row."""
        running: list[frozenset[str]] = []
        most = 0
        for atom in self._atoms:
            if atom.is_open:
                running = [other for other in running if other & atom.matched]
                running.append(atom.matched)
                most = max(most, len(running))
            elif atom.least and not atom.optional:
                running = [other for other in running if other & atom.matched]
        return most

    def _matched(self, atom: str) -> frozenset[str]:
        one = re.compile(atom, self._flags)
        return frozenset(letter for letter in _SAMPLE if one.fullmatch(letter))


def _bounds(quantifier: re.Match[str] | None) -> tuple[int, int | None]:
    if quantifier is None:
        return 1, 1
    symbol, least, comma, most, _ = quantifier.groups()
    match symbol:
        case "*":
            return 0, None
        case "+":
            return 1, None
        case "?":
            return 0, 1
        case _:
            if not comma:
                return int(least or 0), int(least or 0)
            return int(least or 0), int(most) if most else None


def _compete(one: _Atom, other: _Atom) -> bool:
    return bool(one.matched & other.matched)


def _are_apart(atoms: list[_Atom]) -> bool:
    """Whether no two match the same character, so that the first one decides."""
    seen: set[str] = set()
    for atom in atoms:
        if not seen.isdisjoint(atom.matched) or (atom.least == 0 and len(atoms) > 1):
            return False
        seen |= atom.matched
    return True
