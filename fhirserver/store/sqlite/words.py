"""What has words: looked up in the full-text tables.

They keep, for each word, the resources that have it, and no text. Words come folded, so that
the tokenizer has nothing to do but to part them at spaces.
"""

from __future__ import annotations

from collections.abc import Sequence

from fhirserver.search.expression import TextIs
from fhirserver.search.score import asked_words
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


def score_of_words(texts: Sequence[TextIs], rid: str) -> Sql:
    """The score of the resource numbered `rid`; FTS5 itself keeps how many words a text has."""
    counts: list[Sql] = []
    for text in texts:
        table, asked = WORD_TABLES[text.param], asked_words(text)
        has = f"EXISTS (SELECT 1 FROM {table} WHERE {table} MATCH ? AND rowid={rid})"
        size = f"(SELECT sz FROM {table}_docsize WHERE id={rid})"
        found = "+".join([has] * len(asked))
        words = (f'"{word}"' for word in asked)
        counts.append(sql(f"?, {found}, {size}", len(asked), *words))
    arguments = ", ".join(part.text for part in counts)
    return Sql(f"score({arguments})", tuple(arg for part in counts for arg in part.args))


def _query(part: TextIs) -> str:
    """The words as a query of FTS5; a folded word has no quotation mark."""
    alternatives = (" AND ".join(f'"{word}"' for word in words) for words in part.values)
    return " OR ".join(f"({words})" for words in alternatives)
