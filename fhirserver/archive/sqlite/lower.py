"""Keys of a question as SQL: what filters a study, series or instance, and what finds studies.

A condition is exact when it selects what `fhirserver.dicom.matching` says; else it selects that
and more, and what comes is looked at again. `seek` is a statement that gives the `sid` of studies
from an index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from fhirserver.archive.sqlite.batch import NAME, REFERRER, WORD
from fhirserver.archive.veil import Veil
from fhirserver.dicom.matching.condition import AnyOf, Exactly, Key, Person, Range, Wildcard
from fhirserver.dicom.matching.match import asked_words
from fhirserver.dicom.matching.moments import ends_of
from fhirserver.dicom.matching.names import folded_group

Bound: TypeAlias = tuple[Any, ...]

LAST: Final = "\U0010ffff"
"""A character behind all that texts have."""


class Seek(NamedTuple):
    """A statement that gives studies. `is_narrow`: few, without counting them."""

    sql: str
    bound: Bound
    is_narrow: bool = False


class Lowered(NamedTuple):
    """A condition: `sql` on the tables s, r and i; empty where everything has to be looked at."""

    sql: str
    bound: Bound
    is_exact: bool = True
    seek: Seek | None = None


NOTHING: Final = Lowered("", (), is_exact=False)


class Column(NamedTuple):
    """A column of equality. `blind`: the field by which it is hashed; empty: in the clear."""

    name: str
    level: int
    blind: str = ""
    is_indexed: bool = False


_COLUMNS: Final = {
    "00100020": Column("patient_id", 0, "patient-id", True),
    "00100021": Column("issuer", 0, "issuer"),
    "00100040": Column("sex", 0),
    "00080050": Column("accession", 0, "accession", True),
    "00200010": Column("study_id", 0, "study-id", True),
    "0020000D": Column("uid", 0, "", True),
    "0020000E": Column("uid", 1, "", True),
    "00080060": Column("modality", 1),
    "00080018": Column("uid", 2, "", True),
    "00080016": Column("sop_class", 2),
}
_TABLES: Final = ("s", "r", "i")
_NARROW: Final = frozenset({"0020000D", "0020000E", "00080018"})
_SEEKS: Final = (
    "SELECT sid FROM study WHERE present=1 AND {}",
    "SELECT sid FROM series WHERE {}",
    "SELECT sid FROM instance WHERE {}",
)


def lowered(key: Key, level: int, veil: Veil) -> Iterator[Lowered]:
    """The conditions of a key for a question about studies (0), series (1) or instances (2)."""
    column = _COLUMNS.get(key.tag)
    if column is not None and column.level <= level:
        yield _of_column(key, column, veil)
        return
    special = _SPECIAL.get(key.tag)
    if special is None:
        yield NOTHING
    else:
        yield from special(key, veil)


def among(ids: Sequence[str]) -> Lowered:
    """Studies whose ImagingStudy is one of these."""
    sql = "imaging_study IN (SELECT value FROM json_each(?))"
    bound = (msgspec.json.encode(ids).decode(),)
    seek = Seek(_SEEKS[0].format(sql), bound, is_narrow=len(ids) <= 1000)
    return Lowered(f"s.{sql}", bound, seek=seek)


def _of_column(key: Key, column: Column, veil: Veil) -> Lowered:
    condition = key.condition
    is_blind = bool(column.blind) and not veil.is_clear
    if isinstance(condition, Wildcard):
        if is_blind:
            return NOTHING
        start = _start(condition.pattern)
        bound: Bound = (glob(condition.pattern),)
        sql = "{0} GLOB ?"
        if start:
            sql, bound = "{0}>=? AND {0}<? AND " + sql, (start, start + LAST, *bound)
        return _with_seek(sql, bound, key.tag, column, column.is_indexed and bool(start))
    if isinstance(condition, Exactly):
        values: tuple[str, ...] = (condition.value,)
    elif isinstance(condition, AnyOf):
        values = condition.values
    else:
        return NOTHING
    kept = [veil.token(column.blind, one) if is_blind else one for one in values]
    if len(kept) == 1:
        return _with_seek("{0}=?", (kept[0],), key.tag, column, column.is_indexed)
    listed = (msgspec.json.encode(kept).decode(),)
    sql = "{0} IN (SELECT value FROM json_each(?))"
    return _with_seek(sql, listed, key.tag, column, column.is_indexed)


def _with_seek(sql: str, bound: Bound, tag: str, column: Column, seeks: bool) -> Lowered:
    seek = None
    if seeks:
        statement = _SEEKS[column.level].format(sql.format(column.name))
        seek = Seek(statement, bound, tag in _NARROW)
    return Lowered(sql.format(f"{_TABLES[column.level]}.{column.name}"), bound, seek=seek)


def _name(key: Key, veil: Veil) -> Iterator[Lowered]:
    yield from _person(key, NAME, "name", veil)


def _referrer(key: Key, veil: Veil) -> Iterator[Lowered]:
    if isinstance(key.condition, Person) and key.condition.fuzzy:
        yield NOTHING
    else:
        yield from _person(key, REFERRER, "referrer", veil)


def _person(key: Key, kind: int, field: str, veil: Veil) -> Iterator[Lowered]:
    condition = key.condition
    if not isinstance(condition, Person):
        yield NOTHING
    elif condition.fuzzy:
        for word in asked_words(condition):
            yield _beginning(WORD, "word", word, veil, is_exact=True)
    else:
        groups = [one for one in condition.text.split("=") if one.strip("*^ ")]
        is_one = len(condition.text.split("=")) == 1
        for group in groups:
            yield _group(folded_group(group), kind, field, veil, is_exact=is_one)


def _group(pattern: str, kind: int, field: str, veil: Veil, *, is_exact: bool) -> Lowered:
    start = _start(pattern)
    if start == pattern:
        return _term("text=?", (veil.text(field, pattern),), kind, is_exact=is_exact)
    if pattern == f"{start}*" and start:
        return _beginning(kind, field, start, veil, is_exact=is_exact)
    if veil.is_clear:
        bound: Bound = (glob(pattern),)
        sql = "text GLOB ?"
        if start:
            sql, bound = "text>=? AND text<? AND " + sql, (start, start + LAST, *bound)
        return _term(sql, bound, kind, is_exact=is_exact, seeks=bool(start))
    return _beginning(kind, field, start, veil, is_exact=False) if start else NOTHING


def _beginning(kind: int, field: str, start: str, veil: Veil, *, is_exact: bool) -> Lowered:
    kept = veil.start(field, start)
    if kept is None:
        return NOTHING
    return _term("text>=? AND text<?", (kept, kept + LAST), kind, is_exact=is_exact)


def _term(sql: str, bound: Bound, kind: int, *, is_exact: bool, seeks: bool = True) -> Lowered:
    bound = (kind, *bound)
    seek = Seek(f"SELECT sid FROM term WHERE kind=? AND {sql}", bound) if seeks else None
    inner = f"SELECT 1 FROM term INDEXED BY term_study WHERE sid=s.sid AND kind=? AND {sql}"
    return Lowered(f"EXISTS ({inner})", bound, is_exact, seek)


def _day(key: Key, veil: Veil) -> Iterator[Lowered]:
    yield _of_days(key, "day")


def _birth_date(key: Key, veil: Veil) -> Iterator[Lowered]:
    condition = key.condition
    if veil.is_clear or not isinstance(condition, Range):
        yield _of_days(key, "birth_date")
        return
    low, high = ends_of("DA", condition.low, condition.high)
    if low != high:
        yield NOTHING
        return
    bound = (veil.token("birth-date", low),)
    seek = Seek(_SEEKS[0].format("birth_date=?"), bound)
    yield Lowered("s.birth_date=?", bound, seek=seek)


def _of_days(key: Key, column: str) -> Lowered:
    condition = key.condition
    if not isinstance(condition, Range):
        return NOTHING
    low, high = ends_of("DA", condition.low, condition.high)
    bound = (low or "0", high or "9")
    sql = f"{column}>=? AND {column}<=?"
    seek = Seek(_SEEKS[0].format(sql), bound)
    return Lowered(f"s.{column}>=? AND s.{column}<=?", bound, seek=seek)


def _hour(key: Key, veil: Veil) -> Iterator[Lowered]:
    """More than is asked for: a time without minutes lies in all of its hour."""
    condition = key.condition
    if not isinstance(condition, Range):
        yield NOTHING
        return
    low, high = ends_of("TM", condition.low, condition.high)
    yield Lowered("s.hour>=? AND s.hour<=?", (low[:2] or "0", high or "9"), is_exact=False)


def _modality(key: Key, veil: Veil) -> Iterator[Lowered]:
    condition = key.condition
    if isinstance(condition, Exactly):
        sql, bound = "name=?", (condition.value,)
        text = "instr('\\'||s.modalities||'\\', ?)>0"
        seek = Seek(f"SELECT sid FROM modality WHERE {sql}", bound)
        yield Lowered(text, (f"\\{condition.value}\\",), seek=seek)
        return
    if isinstance(condition, AnyOf):
        sql = "name IN (SELECT value FROM json_each(?))"
        bound = (msgspec.json.encode(condition.values).decode(),)
    elif isinstance(condition, Wildcard):
        sql, bound = "name GLOB ?", (glob(condition.pattern),)
    else:
        yield NOTHING
        return
    seek = Seek(f"SELECT sid FROM modality WHERE {sql}", bound)
    yield Lowered(f"s.sid IN (SELECT sid FROM modality WHERE {sql})", bound, seek=seek)


_SPECIAL: Final[dict[str, Callable[[Key, Veil], Iterator[Lowered]]]] = {
    "00080020": _day,
    "00080030": _hour,
    "00080061": _modality,
    "00080090": _referrer,
    "00100010": _name,
    "00100030": _birth_date,
}


def glob(pattern: str) -> str:
    """A pattern of DICOM as one of SQLite's GLOB, which compares case."""
    return pattern.replace("[", "[[]")


def _start(pattern: str) -> str:
    """What stands before the first wild card."""
    for place, letter in enumerate(pattern):
        if letter in "*?":
            return pattern[:place]
    return pattern
