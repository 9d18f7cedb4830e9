"""Keys of a question as conditions on documents of studies.

A condition is exact when it selects what `fhirserver.dicom.matching` says; what others select is
looked at again. All are equalities or short ranges of an index, never patterns.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from fhirserver.archive.mongo.document import (
    ACCESSION,
    BIRTH,
    MODALITY,
    NAME,
    PATIENT,
    REFERRER,
    SERIES,
    STUDY_ID,
    WORD,
    key,
)
from fhirserver.archive.veil import Veil
from fhirserver.dicom.matching import AnyOf, Exactly, Key, Person, Range, Wildcard
from fhirserver.dicom.matching.match import asked_words
from fhirserver.dicom.matching.moments import ends_of
from fhirserver.dicom.matching.names import folded_group

_LAST: Final = "\U0010ffff"
_TOKENS: Final = {
    "00100020": (PATIENT, "patient-id"),
    "00080050": (ACCESSION, "accession"),
    "00200010": (STUDY_ID, "study-id"),
    "00080061": (MODALITY, ""),
}


class Lowered(NamedTuple):
    """`query` is None where everything has to be looked at."""

    query: dict[str, Any] | None
    is_exact: bool


NOTHING: Final = Lowered(None, is_exact=False)


def lowered(asked: Key, level: int, veil: Veil) -> Iterator[Lowered]:
    """The conditions of a key for a question about studies (0), series (1) or instances (2)."""
    condition = asked.condition
    if asked.tag in _TOKENS:
        yield _token(asked, *_TOKENS[asked.tag], veil)
    elif asked.tag == "0020000D" and isinstance(condition, Exactly | AnyOf):
        yield Lowered({"u": {"$in": list(_values(condition))}}, is_exact=True)
    elif asked.tag == "0020000E" and isinstance(condition, Exactly | AnyOf) and level:
        keys = [key(SERIES, one) for one in _values(condition)]
        yield Lowered({"q": {"$in": keys}}, is_exact=False)
    elif asked.tag == "00100021" and isinstance(condition, Exactly):
        yield Lowered({"iss": veil.token("issuer", condition.value)}, is_exact=True)
    elif asked.tag == "00080020" and isinstance(condition, Range):
        low, high = ends_of("DA", condition.low, condition.high)
        yield Lowered({"day": {"$gte": low or "0", "$lte": high or "9"}}, is_exact=True)
    elif asked.tag == "00080030" and isinstance(condition, Range):
        low, high = ends_of("TM", condition.low, condition.high)
        yield Lowered({"hour": {"$gte": low[:2] or "0", "$lte": high or "9"}}, is_exact=False)
    elif asked.tag == "00100030" and isinstance(condition, Range):
        yield _birth_date(condition, veil)
    elif asked.tag in ("00100010", "00080090") and isinstance(condition, Person):
        yield from _person(asked.tag, condition, veil)
    else:
        yield NOTHING


def _values(condition: Exactly | AnyOf) -> tuple[str, ...]:
    return condition.values if isinstance(condition, AnyOf) else (condition.value,)


def _token(asked: Key, kind: str, field: str, veil: Veil) -> Lowered:
    condition = asked.condition
    if isinstance(condition, Exactly | AnyOf):
        values = _values(condition)
        kept = [veil.token(field, one) if field else one for one in values]
        return Lowered({"q": {"$in": [key(kind, one) for one in kept]}}, is_exact=True)
    if isinstance(condition, Wildcard) and (veil.is_clear or not field):
        start = _start(condition.pattern)
        is_whole = condition.pattern == f"{start}*"
        return _beginning(kind, start, is_exact=is_whole)
    return NOTHING


def _birth_date(condition: Range, veil: Veil) -> Lowered:
    low, high = ends_of("DA", condition.low, condition.high)
    if low == high:
        return Lowered({"q": key(BIRTH, veil.token("birth-date", low))}, is_exact=True)
    if not veil.is_clear:
        return NOTHING
    first, last = key(BIRTH, low or "0"), key(BIRTH, high or "9")
    return Lowered({"q": {"$elemMatch": {"$gte": first, "$lte": last}}}, is_exact=True)


def _person(tag: str, condition: Person, veil: Veil) -> Iterator[Lowered]:
    kind, field = (NAME, "name") if tag == "00100010" else (REFERRER, "referrer")
    if condition.fuzzy:
        if kind == REFERRER:
            yield NOTHING
            return
        for word in asked_words(condition):
            yield _started(WORD, "word", word, veil, is_exact=True)
        return
    is_one = "=" not in condition.text
    for group in condition.text.split("="):
        if not group.strip("*^ "):
            continue
        pattern = folded_group(group)
        start = _start(pattern)
        if start == pattern:
            yield Lowered({"q": key(kind, veil.text(field, pattern))}, is_exact=is_one)
        else:
            is_exact = is_one and pattern == f"{start}*"
            yield _started(kind, field, start, veil, is_exact=is_exact)


def _started(kind: str, field: str, start: str, veil: Veil, *, is_exact: bool) -> Lowered:
    kept = veil.start(field, start) if start else None
    return NOTHING if kept is None else _beginning(kind, kept, is_exact=is_exact)


def _beginning(kind: str, start: str, *, is_exact: bool) -> Lowered:
    first, last = key(kind, start), key(kind, start + _LAST)
    return Lowered({"q": {"$elemMatch": {"$gte": first, "$lt": last}}}, is_exact=is_exact)


def _start(pattern: str) -> str:
    for place, letter in enumerate(pattern):
        if letter in "*?":
            return pattern[:place]
    return pattern
