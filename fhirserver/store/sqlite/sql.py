"""Fragments of SQL with the values they bind.

No value is ever written into a statement's text, and lists are padded to few lengths, so that
there are few texts and SQLite prepares each once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fhirserver.store.sqlite.rows import Value

_LONGEST = 8  # beyond that many values a list is bound as one JSON array


class Sql(NamedTuple):
    text: str
    args: tuple[Value, ...] = ()


TRUE = Sql("1")
FALSE = Sql("0")


def sql(text: str, *args: Value) -> Sql:
    return Sql(text, args)


def join(parts: Iterable[Sql | str]) -> Sql:
    """The fragments one after another, with a space between."""
    texts: list[str] = []
    args: list[Value] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        else:
            texts.append(part.text)
            args.extend(part.args)
    return Sql(" ".join(texts), tuple(args))


def all_of(parts: Iterable[Sql]) -> Sql:
    """A condition that holds when all do."""
    wanted = [part for part in parts if part != TRUE]
    return FALSE if FALSE in wanted else _tree("AND", wanted, TRUE)


def any_of(parts: Iterable[Sql]) -> Sql:
    """A condition that holds when one does."""
    wanted = [part for part in parts if part != FALSE]
    return TRUE if TRUE in wanted else _tree("OR", wanted, FALSE)


def negated(part: Sql) -> Sql:
    if part in (TRUE, FALSE):
        return FALSE if part == TRUE else TRUE
    return Sql(f"NOT ({part.text})", part.args)


def one_of(column: str, values: Sequence[Value], *, is_sought: bool = False) -> Sql:
    """A condition that the column has one of the values.

    `is_sought`: other columns lead to the row; else the values of a long list lead to rows.
    """
    if not values:
        return FALSE
    if len(values) == 1:
        return Sql(f"{column}=?", (values[0],))
    if len(values) <= _LONGEST:
        width = 1 << (len(values) - 1).bit_length()
        padded = (*values, *(values[-1],) * (width - len(values)))
        return Sql(f"{column} IN ({','.join('?' * width)})", padded)
    listed = json.dumps(list(values), ensure_ascii=False)
    return Sql(f"{'+' * is_sought}{column} IN (SELECT value FROM json_each(?))", (listed,))


def one_of_pairs(first: str, second: str, pairs: Sequence[tuple[Value, Value]]) -> Sql:
    """A condition that two columns together have one of the pairs of values."""
    if len(pairs) <= _LONGEST:
        return any_of(Sql(f"({first}=? AND {second}=?)", pair) for pair in pairs)
    listed = json.dumps(pairs, ensure_ascii=False)
    text = f"(+{first}, +{second}) IN (SELECT value->>0, value->>1 FROM json_each(?))"
    return Sql(text, (listed,))


def _tree(operator: str, parts: Sequence[Sql], of_none: Sql) -> Sql:
    """A balanced tree, for SQLite limits the depth of an expression and not its size."""
    if len(parts) <= 1:
        return parts[0] if parts else of_none
    middle = len(parts) // 2
    left, right = (_tree(operator, half, of_none) for half in (parts[:middle], parts[middle:]))
    return Sql(f"({left.text} {operator} {right.text})", left.args + right.args)
