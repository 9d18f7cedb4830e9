"""The index rows of a resource: its search entries in the columns of the typed tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TypeAlias, assert_never
from zlib import crc32

from fhirserver.search.contained import CONTAINED
from fhirserver.search.entry import (
    Composite,
    Contained,
    Date,
    Entries,
    Entry,
    Number,
    Position,
    Quantity,
    Reference,
    Simple,
    String,
    Token,
    Uri,
    Words,
)
from fhirserver.search.text import CONTENT, NARRATIVE
from fhirserver.store.sqlite.dictionary import Interning

Value: TypeAlias = int | float | str | bytes | None
Row: TypeAlias = tuple[Value, ...]
Rows: TypeAlias = dict[str, list[Row]]
RidOf: TypeAlias = Callable[[str, str], int]

SLOTS = 3
"""Components that a tuple of a composite parameter may have."""

WIDTHS: Mapping[str, int] = {
    "token": 4,
    "string": 6,
    "date": 4,
    "number": 4,
    "quantity": 7,
    "reference": 3,
    "uri": 3,
    "composite": 3 + 6 * SLOTS,
    "position": 4,
}
"""The index tables, with their numbers of columns. Each row begins with rid and pid."""

WORD_TABLES: Mapping[str, str] = {NARRATIVE: "narrative", CONTENT: "content"}
"""The full-text tables, by the parameter whose words they keep. Their rows are rid and words."""

_ELSEWHERE = frozenset({*WORD_TABLES, CONTAINED})
"""What has no rows in the index tables; those of contained resources are rows of their own."""

_BLANK: Row = (None,) * 6


def hash_of(text: str) -> int:
    """A short stand-in for an exact text, in the index of exact texts."""
    return crc32(text.encode())


def add_rows(
    rows: Rows, rid: int, tid: int, entries: Entries, names: Interning, rid_of: RidOf
) -> None:
    """Adds the rows of one resource; `rid_of` allots a number to the target of a reference.

    What it contains is left to the caller.
    """
    pids, symbols = names.params_of(tid), names.symbols
    tokens, references = rows["token"], rows["reference"]
    for code, values in entries.items():  # the hot loop: no `match`, few calls
        pid = pids.get(code)
        if pid is None:
            if code in _ELSEWHERE:
                if code != CONTAINED:
                    _add_words(rows, rid, code, values)
                continue
            pid = names.intern_param(tid, code)
        unique = values if len(values) == 1 else tuple(dict.fromkeys(values))
        for n, entry in enumerate(unique):
            if isinstance(entry, Token):
                system, token = entry
                sid = symbols.get(system)
                if sid is None:
                    sid = names.intern_symbol(system)
                tokens.append((rid, pid, token, sid))
            elif isinstance(entry, Reference):
                references.append((rid, pid, rid_of(*entry)))
            elif isinstance(entry, String):
                hashed = hash_of(entry.exact)
                rows["string"].append((rid, pid, n, entry.folded, entry.exact, hashed))
            elif isinstance(entry, Date):
                rows["date"].append((rid, pid, *entry))
                if n:
                    names.mark_several(pid)
            else:
                _add_other(rows, rid, pid, n, entry, names, rid_of)


def _add_words(rows: Rows, rid: int, code: str, values: Sequence[Entry]) -> None:
    words = " ".join(entry.text for entry in values if isinstance(entry, Words))
    if words:
        rows[WORD_TABLES[code]].append((rid, words))


def _add_other(
    rows: Rows,
    rid: int,
    pid: int,
    n: int,
    entry: Number | Quantity | Uri | Composite | Position | Words | Contained,
    names: Interning,
    rid_of: RidOf,
) -> None:
    match entry:
        case Quantity(low, high, system, code, unit):
            units = map(names.intern_symbol, (system, code, unit))
            rows["quantity"].append((rid, pid, low, high, *units))
        case Position(latitude, longitude):
            rows["position"].append((rid, pid, latitude, longitude))
        case Words() | Contained():
            raise AssertionError("not a row of a typed table")
        case Composite(components):
            slots = [_slot(part, names, rid_of) for part in components]
            slots += [_BLANK] * (SLOTS - len(slots))
            rows["composite"].append((rid, pid, n, *chain.from_iterable(slots)))
        case Uri(value):
            rows["uri"].append((rid, pid, value))
        case Number(low, high):
            rows["number"].append((rid, pid, low, high))
        case _:
            assert_never(entry)


def _slot(
    part: Simple,
    names: Interning,
    rid_of: RidOf,
) -> Row:
    """One component in the columns text, sid, low, high, extra, unit."""
    match part:
        case Token(system, code):
            return (code, names.intern_symbol(system), None, None, None, None)
        case String(folded, exact):
            return (folded, None, None, None, exact, None)
        case Date(low, high) | Number(low, high):
            return (None, None, low, high, None, None)
        case Quantity(low, high, system, code, unit):
            sid, extra, human = map(names.intern_symbol, (system, code, unit))
            return (None, sid, low, high, extra, human)
        case Reference(type_, id_):
            return (None, None, rid_of(type_, id_), None, None, None)
        case Uri(value):
            return (value, None, None, None, None, None)
        case Position(latitude, longitude):
            return (None, None, latitude, longitude, None, None)
        case _:
            assert_never(part)
