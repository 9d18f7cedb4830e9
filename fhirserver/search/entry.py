"""Index entries: what a resource contributes to search, by parameter.

Pure values that a store writes to its typed tables. Beside the parameters of R4, an entry
may stand under a derived name (`code:text`, `identifier:of-type`, `subject:identifier`,
`code:present`, `_reference`): see `fhirserver.search.index`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias


class Token(NamedTuple):
    """A code; `system` is '' when there is none."""

    system: str
    code: str


class String(NamedTuple):
    """A text, folded (case, accents, white space, punctuation) for search, and as it stands."""

    folded: str
    exact: str


class Date(NamedTuple):
    """[start, end) in microseconds since 1970."""

    start: int
    end: int


class Number(NamedTuple):
    """A number, or the bounds of a range; infinite where a bound is open."""

    low: float
    high: float


class Quantity(NamedTuple):
    """A quantity or the bounds of a range, with its coded unit ('' when there is none)."""

    low: float
    high: float
    system: str
    code: str
    unit: str


class Reference(NamedTuple):
    """A target on this server (`type`, `id`), or with type '' an absolute URL, URN or canonical."""

    type: str
    id: str


class Uri(NamedTuple):
    value: str


class Position(NamedTuple):
    """A place on the earth in degrees; `longitude` in [-180, 180)."""

    latitude: float
    longitude: float


class Words(NamedTuple):
    """The words of a text, folded, each once, with a space between."""

    text: str


class Composite(NamedTuple):
    """One tuple of component entries, from one element of the resource.

    A component that has several values gives several tuples (their product).
    """

    components: tuple[Simple, ...]


class Contained(NamedTuple):
    """A contained resource, which search sees as a resource of its own.

    `type` has `#` in front, `id` is `Container/id#local`: see `fhirserver.search.contained`.
    """

    type: str
    id: str
    entries: Entries


Simple: TypeAlias = Token | String | Date | Number | Quantity | Reference | Uri | Position
Entry: TypeAlias = Simple | Composite | Words | Contained

Entries: TypeAlias = Mapping[str, tuple[Entry, ...]]
"""Entries by parameter code; all of one parameter are of one kind."""
