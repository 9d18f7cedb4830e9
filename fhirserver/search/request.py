"""What a search asks for as a whole: the query for the store, and how to answer it.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from fhirserver.model.outcome import Issue
from fhirserver.search.expression import Query, TextIs
from fhirserver.search.text import FullText

Summary: TypeAlias = Literal["true", "text", "data", "count"]
Handling: TypeAlias = Literal["strict", "lenient"]
Pairs: TypeAlias = tuple[tuple[str, str], ...]

ANY = "*"
"""In place of a type or parameter: every one."""


@dataclass(frozen=True, slots=True)
class Include:
    """`_include=source:param:target`, or `_revinclude` where `reverse`.

    `source` is the type that holds the reference and `param` its parameter, both of which may
    be `*`; `target`, where not None, is the only type that is wanted. `iterate`: also from
    what was included.
    """

    source: str
    param: str
    target: str | None = None
    iterate: bool = False
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A compiled search.

    `summary` None is the whole resource; where it is `count`, the query has count 0.
    `elements` are the names that `_elements` asks for, `texts` what each match is scored by.
    `applied` are the parameters as they were
    taken, for the self link; `ignored` tells what lenient handling left out.
    """

    query: Query
    includes: tuple[Include, ...] = ()
    summary: Summary | None = None
    elements: tuple[str, ...] = ()
    applied: Pairs = ()
    ignored: tuple[Issue, ...] = ()
    texts: tuple[TextIs, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one search may ask for. `count` is the page size where none is asked for.

    `values`: alternatives of one parameter; `parameters`: of one search; `depth`: hops of a
    chain; `conditions`: those that a search stands for once its chains are spread over types.
    `full_text`: which words are there to be searched by.
    """

    count: int = 50
    max_count: int = 1000
    values: int = 1000
    parameters: int = 200
    depth: int = 8
    conditions: int = 2000
    full_text: FullText = "all"


LIMITS = Limits()
