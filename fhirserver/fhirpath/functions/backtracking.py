"""How often a backtracking engine may try, at worst, to match a pattern.

- Repeats that compete for the same characters without something mandatory between them that
  ends the first (`.*a.*`) multiply: an open repeat by the length of the text, a bounded one,
  an optional part or a choice by the number of its ways.
- A group must not be repeated if a text can be split among its repetitions in several ways:
  what is repeated has a fixed length, or begins with a character that occurs nowhere else
  in it. Other patterns are refused, and so are back references and conditions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple, NoReturn

from fhirserver.fhirpath.errors import FhirPathExecutionError

_OPEN: Final = 50
"""From so many repetitions on, a bounded repeat counts as an open one."""

_SAMPLE: Final = frozenset(map(chr, range(128))) | {"é", "中", "\u2028", "\U0001f525"}
"""Characters by which parts are compared: do both match one of them?"""

_PART = re.compile(
    r"""
      (?P<group> \( (?: \?: | \?P<[A-Za-z_]\w*> | (?P<look>\?<?[=!]) )? (?!\?) )
    | (?P<close> \) )
    | (?P<or>    \| )
    | (?P<set>   \[ \^? \]? (?: \\. | [^\]\\] )* \] )
    | (?P<edge>  \\[bBAZ] | \^ | \$ )
    | (?P<atom>  \\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[^1-9]) | [^\\(] )
    """,
    re.VERBOSE | re.DOTALL,
)
_QUANTIFIER = re.compile(r"(?:([*+?])|\{(\d*)(,?)(\d*)\})([?+])?")


class Cost(NamedTuple):
    """Some `ways` times the length of the text to a `power`.

    `alternatives` tells whether the whole pattern is a choice (`a|b`).
    """

    power: int
    ways: int
    alternatives: bool

    def tries(self, length: int, *, anywhere: bool) -> int:
        """How many tries a text of some length may take; `anywhere`: from each place in it."""
        tries = self.ways
        for _ in range(self.power + anywhere):
            tries *= max(1, length)
        return tries


def cost(pattern: str, flags: int) -> Cost:
    """What a pattern may cost.

    Raises `FhirPathExecutionError` for one whose cost has no such bound.
    """
    return _Reader(pattern, flags).read()


@dataclass(slots=True)
class _Atom:
    """Something that matches the characters `matched` from `least` to `most` times.

    `skipped` if a match may do without it, whatever `least` says.
    """

    matched: frozenset[str]
    least: int
    most: int | None
    skipped: bool = False

    @property
    def varies(self) -> bool:
        return self.least != self.most

    @property
    def is_open(self) -> bool:
        return self.most is None or self.most - self.least >= _OPEN

    @property
    def is_mandatory(self) -> bool:
        return self.least > 0 and not self.skipped


@dataclass(slots=True)
class _Group:
    start: int
    looks: bool
    alternatives: list[int] = field(default_factory=list)


class _Reader:
    def __init__(self, pattern: str, flags: int) -> None:
        self._pattern = pattern
        self._flags = flags
        self._atoms: list[_Atom] = []
        self._groups: list[_Group] = []
        self._alternatives = False

    def read(self) -> Cost:
        at = 0
        while at < len(self._pattern):
            match = _PART.match(self._pattern, at)
            if match is None:
                _refuse()
            at = self._part(match)
        power, ways = self._competing()
        return Cost(power, ways, self._alternatives)

    def _part(self, match: re.Match[str]) -> int:
        at = match.end()
        if match["group"]:
            self._groups.append(_Group(len(self._atoms), bool(match["look"])))
        elif match["or"]:
            if self._groups:
                self._groups[-1].alternatives.append(len(self._atoms))
            else:
                self._alternatives = True
        elif not match["edge"]:
            quantifier = _QUANTIFIER.match(self._pattern, at)
            least, most = _bounds(quantifier)
            if match["close"]:
                self._close(least, most)
            else:
                self._atoms.append(_Atom(self._matched(match.group()), least, most))
            return at if quantifier is None else quantifier.end()
        return at

    def _matched(self, atom: str) -> frozenset[str]:
        one = re.compile(atom, self._flags)
        return frozenset(letter for letter in _SAMPLE if one.fullmatch(letter))

    def _close(self, least: int, most: int | None) -> None:
        group = self._groups.pop()
        inside = self._atoms[group.start :]
        if not inside:
            return
        starts = [group.start, *group.alternatives, len(self._atoms)]
        branches = [self._atoms[start:end] for start, end in pairwise(starts)]
        everything = frozenset().union(*(atom.matched for atom in inside))
        if most is None or most > 1:
            if not _splits_one_way(branches, inside):
                _refuse()
            self._atoms[group.start :] = [_Atom(everything, 0, most)]
            return
        ways = (1 if _are_apart(branches) else len(branches)) * (2 - least)
        for atom in inside:
            atom.skipped = atom.skipped or least == 0 or len(branches) > 1 or group.looks
        if ways > 1:
            self._atoms.append(_Atom(everything, 0, ways - 1, skipped=True))

    def _competing(self) -> tuple[int, int]:
        """The most that repeats in a row, of one character, may multiply to."""
        none = (0, 1)
        running = dict.fromkeys(_SAMPLE, none)
        most = none
        for atom in self._atoms:
            if atom.is_mandatory:
                for letter in _SAMPLE - atom.matched:
                    running[letter] = none
            if not atom.varies:
                continue
            for letter in atom.matched:
                power, ways = running[letter]
                if atom.is_open:
                    power += 1
                else:
                    ways *= (atom.most or 0) - atom.least + 1
                running[letter] = (power, ways)
                most = max(most, running[letter])
        return most


def _bounds(quantifier: re.Match[str] | None) -> tuple[int, int | None]:
    if quantifier is None:
        return 1, 1
    symbol, least, comma, most, _ = quantifier.groups()
    if symbol:
        return (1 if symbol == "+" else 0), (1 if symbol == "?" else None)
    if not comma:
        return int(least or 0), int(least or 0)
    return int(least or 0), int(most) if most else None


def _splits_one_way(branches: list[list[_Atom]], inside: list[_Atom]) -> bool:
    """Whether a text can be split among repetitions of a group in one way only."""
    if not _are_apart(branches):
        return False
    if not any(atom.varies or atom.skipped for atom in inside):
        return True
    firsts = [branch[0] for branch in branches]
    if any(first.varies or first.skipped for first in firsts):
        return False
    return not any(
        first.matched & atom.matched for first in firsts for atom in inside if atom is not first
    )


def _are_apart(branches: list[list[_Atom]]) -> bool:
    """Whether the first character decides between the branches of a choice."""
    if len(branches) == 1:
        return True
    seen: set[str] = set()
    for branch in branches:
        if not branch or not branch[0].is_mandatory or not seen.isdisjoint(branch[0].matched):
            return False
        seen |= branch[0].matched
    return True


def _refuse() -> NoReturn:
    raise FhirPathExecutionError(
        "The pattern may take too long: let a repeated group begin with a character that "
        "occurs nowhere else in it, and use no back references, conditions or inline flags."
    )
