"""What has words: looked up in the full-text tables.

They keep, for each word, the resources that have it, and no text. Words come folded, so that
the tokenizer has nothing to do but to part them at spaces.
"""

from __future__ import annotations

from fhirserver.search.expression import TextIs
from fhirserver.store.sqlite.rows import WORD_TABLES
from fhirserver.store.sqlite.source import Branch, Source
from fhirserver.store.sqlite.sql import Sql, sql


def has_words(part: TextIs, rid: str, alias: str) -> Sql:
    """That the resource numbered `rid` has the words."""
    table = WORD_TABLES[part.param]
    return sql(
        f"EXISTS (SELECT 1 FROM {table} {alias} WHERE {alias}.{table} MATCH ? "
        f"AND {alias}.rowid={rid})",
        _query(part),
    )


def words_source(part: TextIs, alias: str) -> Source:
    """All resources, of any type, that have the words."""
    table = WORD_TABLES[part.param]
    branch = Branch(
        sql(f"{table} {alias}"), f"{alias}.rowid", sql(f"{alias}.{table} MATCH ?", _query(part))
    )
    return Source((branch,), is_ordered=True, is_distinct=True, is_typed=False)


def _query(part: TextIs) -> str:
    """The words as a query of FTS5; a folded word has no quotation mark."""
    alternatives = (" AND ".join(f'"{word}"' for word in words) for words in part.values)
    return " OR ".join(f"({words})" for words in alternatives)
