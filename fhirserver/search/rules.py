"""The revisions of the rules that index entries are made by.

A change of code that gives other entries for the same resource (a repaired conversion, an
expression put right in the packaged definitions) adds a row. A store remembers the revision by
which all of it was indexed; searches by what changed since wait for a reindex.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Rule(NamedTuple):
    """What changed, and for which parameters: (type, code), as each concrete type has them."""

    text: str
    parameters: tuple[tuple[str, str], ...]


RULES: Final[tuple[Rule, ...]] = (Rule("The parameters of R4, and the words of texts.", ()),)
"""Revision n is the n-th row; rows are added, and never changed."""

REVISION: Final = len(RULES)


def changed_since(revision: int) -> frozenset[tuple[str, str]]:
    """The parameters whose entries a later revision makes differently."""
    return frozenset(pair for rule in RULES[revision:] for pair in rule.parameters)
