"""Full-text tables: the words of narratives and of whole resources.

They keep, for each word, the resources that have it, and no text. Words come folded, so that
the tokenizer has nothing to do but to part them at spaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import apsw

from fhirserver.search.entry import Words
from fhirserver.search.expression import TextIs
from fhirserver.search.text import CONTENT, NARRATIVE

if TYPE_CHECKING:
    from fhirserver.store.port import Change
    from fhirserver.store.sqlite.source import Source
    from fhirserver.store.sqlite.sql import Sql

WORD_TABLES: Mapping[str, str] = {NARRATIVE: "narrative", CONTENT: "content"}
"""The tables, by the parameter whose words they keep."""


def put_words(connection: apsw.Connection, rid: int, change: Change) -> None:
    """Brings the full-text tables to what a change says."""
    for param, table in WORD_TABLES.items():
        if change.version > 1:
            connection.execute(f"DELETE FROM {table} WHERE rowid=?", (rid,))
        words = " ".join(
            entry.text for entry in change.entries.get(param, ()) if isinstance(entry, Words)
        )
        if words:
            connection.execute(f"INSERT INTO {table}(rowid, words) VALUES(?,?)", (rid, words))


def has_words(part: TextIs, rid: str, alias: str) -> Sql:
    """That the resource numbered `rid` has the words."""
    from fhirserver.store.sqlite.sql import sql

    table = WORD_TABLES[part.param]
    return sql(
        f"EXISTS (SELECT 1 FROM {table} {alias} WHERE {alias}.{table} MATCH ? "
        f"AND {alias}.rowid={rid})",
        _query(part),
    )


def words_source(part: TextIs, alias: str) -> Source:
    """All resources, of any type, that have the words."""
    from fhirserver.store.sqlite.source import Branch, Source
    from fhirserver.store.sqlite.sql import sql

    table = WORD_TABLES[part.param]
    branch = Branch(
        sql(f"{table} {alias}"), f"{alias}.rowid", sql(f"{alias}.{table} MATCH ?", _query(part))
    )
    return Source((branch,), is_ordered=True, is_distinct=True, is_typed=False)


def _query(part: TextIs) -> str:
    """The words as a query of FTS5; a folded word has no quotation mark."""
    alternatives = (" AND ".join(f'"{word}"' for word in words) for words in part.values)
    return " OR ".join(f"({words})" for words in alternatives)
