"""The tables of concepts.

A code system in use is a row of `code_system` with the resource (`rid`) that it belongs to; one
without is staged or left over. The numbers of its concepts and terms lie in one range
(`csid` << 32 and up), so that everything of a system is found and removed by ranges.
`concept_ancestor` is the closure of the hierarchy; a term is one name of a concept, and
`concept_words` the words of all terms.
"""

from __future__ import annotations

SHIFT = 32

CONCEPTS = """
CREATE TABLE code_system(
    csid INTEGER PRIMARY KEY AUTOINCREMENT, rid INTEGER, url TEXT NOT NULL, version TEXT,
    supplements TEXT, state TEXT NOT NULL, concepts INTEGER NOT NULL, info BLOB
) STRICT;
CREATE INDEX code_system_url ON code_system(url) WHERE rid IS NOT NULL;
CREATE INDEX code_system_rid ON code_system(rid) WHERE rid IS NOT NULL;
CREATE INDEX code_system_supplements ON code_system(supplements) WHERE supplements IS NOT NULL;
CREATE INDEX code_system_free ON code_system(url) WHERE rid IS NULL;

CREATE TABLE concept(
    cid INTEGER PRIMARY KEY, code TEXT NOT NULL, folded TEXT NOT NULL, display TEXT,
    data BLOB NOT NULL
) STRICT;
CREATE TABLE concept_code(
    csid INTEGER, code TEXT, cid INTEGER NOT NULL, PRIMARY KEY(csid, code)
) STRICT, WITHOUT ROWID;
CREATE TABLE concept_folded(
    csid INTEGER, folded TEXT, cid INTEGER, PRIMARY KEY(csid, folded, cid)
) STRICT, WITHOUT ROWID;
CREATE TABLE concept_child(
    parent INTEGER, child INTEGER, PRIMARY KEY(parent, child)
) STRICT, WITHOUT ROWID;
CREATE TABLE concept_parent(
    child INTEGER, n INTEGER, parent INTEGER, PRIMARY KEY(child, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE concept_ancestor(
    ancestor INTEGER, cid INTEGER, PRIMARY KEY(ancestor, cid)
) STRICT, WITHOUT ROWID;
CREATE TABLE concept_property(
    csid INTEGER, property TEXT, value TEXT, cid INTEGER, PRIMARY KEY(csid, property, value, cid)
) STRICT, WITHOUT ROWID;
CREATE TABLE concept_term(tid INTEGER PRIMARY KEY, cid INTEGER NOT NULL) STRICT;
CREATE VIRTUAL TABLE concept_words USING fts5(
    words, content='', contentless_delete=1, detail=none, tokenize="ascii tokenchars '.'"
);
CREATE TABLE concept_word(
    csid INTEGER, word TEXT, uses INTEGER NOT NULL, PRIMARY KEY(csid, word)
) STRICT, WITHOUT ROWID;
CREATE TABLE closure(
    name TEXT, system TEXT, code TEXT, version INTEGER NOT NULL, PRIMARY KEY(name, system, code)
) STRICT, WITHOUT ROWID;
"""
