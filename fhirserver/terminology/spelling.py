"""Words that were meant when others were typed: the nearest by letters.

A letter left out, added or wrong, or two in the wrong order, counts one.
"""

from __future__ import annotations

from collections.abc import Mapping

_SHORT = 4  # words of so many letters are taken as they are typed
_LONG = 8  # from so many letters on two mistakes are forgiven
_MOST = 3  # words that one typed word may stand for


def nearest(word: str, known: Mapping[str, int]) -> list[str]:
    """The known words with the fewest mistakes, the most used first; `known` tells the uses."""
    if len(word) < _SHORT or any(character.isdigit() for character in word):
        return []
    allowed = 1 if len(word) < _LONG else 2
    found: dict[int, list[str]] = {}
    for candidate in known:
        if abs(len(candidate) - len(word)) <= allowed:
            mistakes = distance(word, candidate, allowed)
            if mistakes <= allowed:
                found.setdefault(mistakes, []).append(candidate)
    if not found:
        return []
    return sorted(found[min(found)], key=lambda item: (-known[item], item))[:_MOST]


def distance(one: str, other: str, limit: int) -> int:
    """How many mistakes lie between two words; more than `limit` are not counted further."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        last, row, older = row, [i], before
        for j, counterpart in enumerate(other, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != counterpart))
            swapped = i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == counterpart
            if swapped:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
        before = last
    return row[-1]
