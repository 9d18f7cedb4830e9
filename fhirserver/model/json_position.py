"""Where values stand in a text of JSON: lines and columns, from 1.

The decoder keeps no places; the text is read a second time for those that are asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, TypeAlias

Steps: TypeAlias = tuple[str | int, ...]
"""Names of properties and places in arrays, from the whole on."""


class Position(NamedTuple):
    """Both count from 1, the column in characters."""

    line: int
    column: int


_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_FOUND: Final = None  # the key of a branch under which is where it was found
_Branch: TypeAlias = dict[Any, Any]


def json_positions(text: bytes, wanted: Iterable[Steps]) -> dict[Steps, Position]:
    """Where the value of each way begins, or the last value on it that is there.

    `text` is JSON that was decoded before, in UTF-8.
    """
    ways = list(wanted)
    root: _Branch = {}
    for way in ways:
        branch = root
        for step in way:
            branch = branch.setdefault(step, {})
    _read(text, root)
    return {way: _position(text, _deepest(root, way)) for way in ways}


def _read(text: bytes, root: _Branch) -> None:
    """Notes in each branch where its value begins."""
    above: list[tuple[_Branch | None, int]] = []  # the branches around, and places in arrays
    holder: _Branch | None = None
    index = -1  # in an array, else -1
    branch: _Branch | None = root  # of the value to come
    is_key = False
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        if first in b":":
            is_key = False
        elif first in b",":
            if index >= 0:
                index += 1
                branch = holder and holder.get(index)
            else:
                is_key = True
        elif first in b"}]":
            holder, index = above.pop()
            is_key = False
        elif is_key:
            branch = holder and holder.get(json.loads(token[0]))
        else:
            if branch is not None:
                branch.setdefault(_FOUND, token.start())
            if first in b"{[":
                above.append((holder, index))
                holder, index = branch, 0 if first in b"[" else -1
                branch = holder and holder.get(0) if index == 0 else None
                is_key = index < 0


def _deepest(root: _Branch, way: Steps) -> int:
    found = int(root.get(_FOUND, 0))
    branch = root
    for step in way:
        branch = branch[step]
        found = branch.get(_FOUND, found)
    return found


def _position(text: bytes, offset: int) -> Position:
    start = text.rfind(b"\n", 0, offset) + 1
    before = text[start:offset].decode("utf-8", "replace")
    return Position(text.count(b"\n", 0, offset) + 1, len(before) + 1)
