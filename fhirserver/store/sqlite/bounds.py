"""How many tables the statements of one search may have."""

from __future__ import annotations

from fhirserver.errors import TooCostly

MOST_TABLES = 5000
"""Tables in the statements of one search; a chain to many types needs some for each."""


class Aliases:
    """Names for the tables of a search's statements, none twice."""

    def __init__(self) -> None:
        self._given = 0

    def __call__(self) -> str:
        self._given += 1
        if self._given > MOST_TABLES:
            raise TooCostly("The search is too complex. Name the types of its chains.")
        return f"t{self._given}"
