"""Explicit orders: the values that a resource is sorted by, and what comes after a cursor.

A key may need two columns (a token sorts by code, then system). Missing values come last
in both directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

from fhirserver.search.expression import SortKey
from fhirserver.store.sqlite.dictionary import UNKNOWN, Dictionary
from fhirserver.store.sqlite.sql import FALSE, Sql, all_of, any_of, sql
from fhirserver.store.sqlite.words import score_of_words

SortValue: TypeAlias = int | float | str | None


class SortColumn(NamedTuple):
    """An expression for one resource, and its direction."""

    value: Sql
    is_descending: bool


_LEAST = {
    "date": "SELECT {f}(low) FROM date WHERE rid={rid} AND pid=?",
    "number": "SELECT {f}(low) FROM number WHERE rid={rid} AND pid=?",
    "quantity": "SELECT {f}(low) FROM quantity WHERE rid={rid} AND pid=?",
    "string": "SELECT {f}(folded) FROM string WHERE rid={rid} AND pid=? AND exact<>''",
    "uri": "SELECT {f}(value) FROM uri WHERE rid={rid} AND pid=?",
}
_PAIRS = {
    "token": (
        "SELECT {column} FROM token x CROSS JOIN symbol y ON y.sid=x.sid "
        "WHERE x.rid={rid} AND x.pid=? ORDER BY x.code {way}, y.text {way} LIMIT 1",
        ("x.code", "y.text"),
    ),
    "reference": (
        "SELECT {column} FROM reference x CROSS JOIN resource z ON z.rid=x.target "
        "CROSS JOIN type y ON y.tid=z.tid "
        "WHERE x.rid={rid} AND x.pid=? ORDER BY y.name {way}, z.id {way} LIMIT 1",
        ("y.name", "z.id"),
    ),
}


def sort_columns(
    keys: Sequence[SortKey], tid: int, names: Dictionary, rid: str, snapshot: int | None = None
) -> list[SortColumn]:
    """What the resources of a type are sorted by, one after another.

    With a snapshot, `_lastUpdated` is as it was then.
    """
    return [column for key in keys for column in key_columns(key, tid, names, rid, snapshot)]


def key_columns(
    key: SortKey, tid: int, names: Dictionary, rid: str, snapshot: int | None = None
) -> list[SortColumn]:
    """The columns of one key: one, two, or none for what has no order."""
    down = key.descending
    match key.param:
        case "_id":
            return [SortColumn(sql(f"(SELECT id FROM resource WHERE rid={rid})"), down)]
        case "_lastUpdated":
            return [SortColumn(_last_updated(rid, snapshot), down)]
        case "_score":
            return [SortColumn(score_of_words(key.texts, rid), down)]
    if key.kind in _PAIRS:
        text, columns = _PAIRS[key.kind]
        way = "DESC" if down else "ASC"
        texts = [text.format(column=column, rid=rid, way=way) for column in columns]
    elif key.kind in _LEAST:
        texts = [_LEAST[key.kind].format(f="max" if down else "min", rid=rid)]
    else:
        return []
    pid = names.param(tid, key.param)
    if pid == UNKNOWN:
        return [SortColumn(sql("NULL"), down) for _ in texts]
    return [SortColumn(sql(f"({text})", pid), down) for text in texts]


def width(key: SortKey) -> int:
    """How many columns a key has."""
    if key.param in ("_id", "_lastUpdated"):
        return 1
    return len(_PAIRS[key.kind][1]) if key.kind in _PAIRS else int(key.kind in _LEAST)


def _last_updated(rid: str, snapshot: int | None) -> Sql:
    if snapshot is None:
        return sql(f"(SELECT instant FROM resource WHERE rid={rid})")
    return sql(
        f"(SELECT v.instant FROM version v INDEXED BY version_number "
        f"WHERE v.rid={rid} AND v.vid<=? ORDER BY v.version DESC LIMIT 1)",
        snapshot,
    )


def order_by(columns: Sequence[SortColumn], never_null: int = 0) -> str:
    """The ORDER BY of columns k0, k1, ..., equal ones by rid.

    The first `never_null` columns have a value always, so that an index can give their order.
    """
    ways = (
        f"k{n} {'DESC' if column.is_descending else 'ASC'}{' NULLS LAST' * (n >= never_null)}, "
        for n, column in enumerate(columns)
    )
    return f"ORDER BY {''.join(ways)}rid"


def comes_after(columns: Sequence[SortColumn], values: Sequence[SortValue], rid: int) -> Sql:
    """That a row k0, k1, ..., rid comes after the one with these values, in that order."""
    condition = sql("rid>?", rid)
    for n in reversed(range(len(columns))):
        name, value = f"k{n}", values[n]
        if value is None:
            later, ties = FALSE, sql(f"{name} IS NULL")
        else:
            sign = "<" if columns[n].is_descending else ">"
            later, ties = sql(f"({name}{sign}? OR {name} IS NULL)", value), sql(f"{name}=?", value)
        condition = any_of((later, all_of((ties, condition))))
    return condition


class Sorted(NamedTuple):
    """A resource with the values that it was sorted by."""

    rid: int
    values: tuple[SortValue, ...]


def merged(found: Sequence[Sorted], columns: Sequence[SortColumn]) -> list[Sorted]:
    """Resources from several places in one order."""
    out = sorted(found, key=itemgetter(0))
    for n in reversed(range(len(columns))):
        present = [row for row in out if row.values[n] is not None]
        values: list[Any] = [row.values[n] for row in present]
        ranked = sorted(
            zip(values, present, strict=True), key=itemgetter(0), reverse=columns[n].is_descending
        )
        out = [row for _, row in ranked] + [row for row in out if row.values[n] is None]
    return out
