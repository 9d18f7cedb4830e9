"""Concepts by words: the candidates, which are compared with each other above.

A word that no name has is taken for the nearest one that a name has, so that `hypertention`
finds what `hypertension` finds.
"""

from __future__ import annotations

from collections.abc import Iterator

import apsw

from fhirserver.store.sqlite.concept_schema import SHIFT
from fhirserver.terminology.spelling import nearest
from fhirserver.terminology.words import CANDIDATES, Query

_MATCH = """SELECT t.cid FROM concept_words w CROSS JOIN concept_term t ON t.tid=w.rowid
    WHERE w.concept_words MATCH ? AND w.rowid>=? AND w.rowid<? ORDER BY w.rowid LIMIT ?"""
_BY_CODE = """SELECT cid FROM concept_folded WHERE csid=? AND folded>=? AND folded<?
    ORDER BY folded LIMIT ?"""
_HAS_WORD = "SELECT 1 FROM concept_word WHERE csid=? AND word>=? AND word<? LIMIT 1"
_ALIKE = """SELECT word, uses FROM concept_word WHERE csid=? AND word>=? AND word<?
    AND length(word) BETWEEN ? AND ?"""
_WORDS = "SELECT word FROM concept_word WHERE csid=? AND word>=? AND word<? LIMIT 65"
_FEW = 64
_LAST = "\U0010ffff"


def corrected(connection: apsw.Connection, csid: int, query: Query) -> Query:
    """As `System.corrected`."""
    return query.corrected(tuple(_known(connection, csid, word) for word in query.words))


def found_terms(connection: apsw.Connection, csid: int, query: Query) -> Iterator[int]:
    """The numbers of concepts that have the words or a code that begins so; each once."""
    low, high = csid << SHIFT, (csid + 1) << SHIFT
    whole = " AND ".join(f'"{word}"' for word in query.words)
    begun = " AND ".join(_begun(connection, csid, word) for word in query.words)
    asked: tuple[tuple[str, tuple[int | str, ...]], ...] = (
        (_BY_CODE, (csid, query.text, query.text + _LAST, CANDIDATES)),
        (_MATCH, (whole, low, high, CANDIDATES)),
        (_MATCH, (begun, low, high, CANDIDATES)),
    )
    seen: set[int] = set()
    for statement, args in asked:
        for (cid,) in list(connection.execute(statement, args)):
            if cid not in seen and len(seen) < CANDIDATES:
                seen.add(cid)
                yield cid


def _begun(connection: apsw.Connection, csid: int, word: str) -> str:
    """What finds words that begin so: these words themselves, which is quicker, if few."""
    words = [text for (text,) in connection.execute(_WORDS, (csid, word, word + _LAST))]
    if len(words) > _FEW or not words:
        return f'"{word}" *'
    return "(" + " OR ".join(f'"{text}"' for text in words) + ")"


def _known(connection: apsw.Connection, csid: int, word: str) -> str:
    """The word, if a name has one that begins so; else the one nearest to it, if there is."""
    if connection.execute(_HAS_WORD, (csid, word, word + _LAST)).get:
        return word
    candidates: dict[str, int] = {}
    for start in dict.fromkeys((word[:2], word[:1], word[1:2])):
        args = (csid, start, start + _LAST, len(word) - 2, len(word) + 2)
        candidates.update(list(connection.execute(_ALIKE, args)))
        found = nearest(word, candidates)
        if found:
            return found[0]
    return word
