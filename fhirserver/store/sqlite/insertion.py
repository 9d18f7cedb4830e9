"""Many rows in few statements.

A thread that holds the interpreter's lock makes us wait at each statement, up to a switch
interval (5 ms); and a row of a long statement costs a fifth of a row that is a statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice

import apsw

from fhirserver.store.sqlite.rows import WIDTHS, WORD_TABLES, Row

_TEXT = 16_000  # characters of a statement that apsw keeps prepared (its limit is 16,384)
_FEW = 64  # rows up to which statements are kept prepared, of a few numbers of rows only
_STEP = 16
_LARGE = (512, 128)  # rows of what is kept prepared besides, for what has that many
_COLUMNS = {
    **WIDTHS,
    "resource": 8,
    "version": 7,
    "note": 2,
    **dict.fromkeys(WORD_TABLES.values(), 2),
}
_PLACES = {name: ",".join("?" * width) for name, width in _COLUMNS.items()}
_MOST = {name: _TEXT // len(f"({places}),") for name, places in _PLACES.items()}
_WORDS = frozenset(WORD_TABLES.values())


def insert(connection: apsw.Connection, table: str, rows: Sequence[Row]) -> None:
    """Inserts rows: as many as possible in each statement, the rest in one or two more."""
    remaining = iter(rows)
    for count in _portions(len(rows), _MOST[table]):
        values = list(chain.from_iterable(islice(remaining, count)))
        if count <= _FEW or count in _LARGE or count == _MOST[table]:
            connection.execute(_statement(table, count), values)
        else:  # another number each time
            connection.execute(_text(table, count), values, can_cache=False)


def _portions(count: int, most: int) -> Iterator[int]:
    """In how many rows a number of them is inserted."""
    while count >= most:
        yield most
        count -= most
    if count >= _LARGE[0]:  # to prepare a statement takes as long as to execute it
        for large in _LARGE:
            while count >= large:
                yield large
                count -= large
    if _STEP < count <= _FEW:
        yield count - count % _STEP
        count %= _STEP
    if count:
        yield count


def _text(table: str, count: int) -> str:
    into = f"{table}(rowid, words)" if table in _WORDS else table
    return f"INSERT INTO {into} VALUES{','.join([f'({_PLACES[table]})'] * count)}"


@lru_cache(maxsize=512)
def _statement(table: str, count: int) -> str:
    return _text(table, count)
