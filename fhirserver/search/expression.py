"""The closed search language: what a query means, apart from how a store answers it.

https://hl7.org/fhir/R4/search.html. A query string is compiled to these frozen values;
`fhirserver.search.match` gives their meaning on one resource, and each store lowers them to
its own queries. A parameter is named by its code (`birthdate`) or a derived code
(`code:text`); its entries are those of `fhirserver.search.entry`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal[
    "token", "string", "date", "number", "quantity", "reference", "uri", "composite", "position"
]
Comparator: TypeAlias = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]


class TokenValue(NamedTuple):
    """`system` None: any; '': none. `code` None: any code of that system."""

    system: str | None
    code: str | None


class Target(NamedTuple):
    """`type` None: any type of local resource with that id; '': `id` is a URL, URN or canonical."""

    type: str | None
    id: str


@dataclass(frozen=True, slots=True)
class TokenIs:
    """Some token of `param` is one of `values`."""

    param: str
    values: tuple[TokenValue, ...]


class StringMode(Enum):
    STARTS = "starts"  # folded text starts with the folded value
    CONTAINS = "contains"  # folded text contains the folded value
    EXACT = "exact"  # the text is the value
    EQUALS = "equals"  # the folded whole text is the folded value
    ENDS = "ends"  # the folded whole text ends with the folded value


@dataclass(frozen=True, slots=True)
class StringIs:
    """Some text of `param` matches one of `values` (folded, unless the mode is EXACT).

    A whole text is an entry whose `exact` is not empty.
    """

    param: str
    mode: StringMode
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DateIs:
    """Some interval of `param` compares with [start, end); `_lastUpdated` is one such param,
    whose interval is the microsecond of the commit.

    With s, e the bounds of an entry: eq: start<=s and e<=end; ne: not eq; gt: e>end;
    lt: s<start; ge: e>end or eq; le: s<start or eq; sa: s>=end; eb: e<=start; ap: overlaps
    (the compiler has widened [start, end)).
    """

    param: str
    comparator: Comparator
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class NumberIs:
    """Some number of `param` compares; [low, high) is the implicit range of `value`.

    With l, h the bounds of an entry: eq: low<=l and h<high (h<=high when l<h); ne: not eq;
    gt: h>value; lt: l<value; ge: h>=value; le: l<=value; sa: l>value; eb: h<value;
    ap: as eq, [low, high) being widened by the compiler.
    """

    param: str
    comparator: Comparator
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class QuantityIs:
    """As `NumberIs`, and the unit: `system` None: any; `code` None: any, else code (or, when
    system is None, the human `unit`) equals it."""

    param: str
    comparator: Comparator
    value: float
    low: float
    high: float
    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class ReferenceIs:
    """Some reference of `param` (None: of any parameter) points to one of `targets`.

    These may be `fhirserver.search.many.Many`, all of them of one type.
    """

    param: str | None
    targets: tuple[Target, ...]


class UriMode(Enum):
    EQUALS = "equals"
    BELOW = "below"  # the entry starts with the value (whole path segments)
    ABOVE = "above"  # the value starts with the entry (whole path segments)


@dataclass(frozen=True, slots=True)
class UriIs:
    param: str
    mode: UriMode
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Near:
    """Some position of `param` is at most `metres` away (`fhirserver.search.distance`)."""

    param: str
    latitude: float
    longitude: float
    metres: float


@dataclass(frozen=True, slots=True)
class TextIs:
    """The words of `param` (`_text` or `_content`) have all words of one of `values`."""

    param: str
    values: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class CompositeIs:
    """One tuple of `param` matches every component's condition (whose own `param` is '')."""

    param: str
    components: tuple[Leaf, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """`param`, whose entries are of `kind`, has no value (or, with `missing` False, has one)."""

    param: str
    kind: Kind
    missing: bool


@dataclass(frozen=True, slots=True)
class IdIs:
    """The logical id is one of `ids` (none of them: nothing matches).

    A contained resource has its id within the container as well as its whole one.
    """

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TypeIs:
    """The resource's type is one of `types`."""

    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """Some reference of `param` points to a current resource of `types` that matches `where`.

    Here as everywhere, `#Medication` is the type of contained Medications, which are of no other.
    """

    param: str
    types: tuple[str, ...]
    where: Expression


@dataclass(frozen=True, slots=True)
class Has:
    """Some current `type` that matches `where` refers to this resource by `param`."""

    type: str
    param: str
    where: Expression


@dataclass(frozen=True, slots=True)
class And:
    """All of `parts`; of none: everything."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of `parts`; of none: nothing."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Expression


Leaf: TypeAlias = TokenIs | StringIs | DateIs | NumberIs | QuantityIs | ReferenceIs | UriIs
Expression: TypeAlias = (
    Leaf | CompositeIs | Near | TextIs | Missing | IdIs | TypeIs | Chain | Has | And | Or | Not
)

EVERYTHING = And(())
NOTHING = Or(())


@dataclass(frozen=True, slots=True)
class SortKey:
    """`param` is a code, `_id`, `_lastUpdated` (kind date) or `_score` (kind number).

    Missing values come last. `texts` are those that a score is for (`fhirserver.search.score`).

    Ascending order takes a resource's least value, descending its greatest: of a range the
    lower bound, of a string the folded whole text, of a token the code and then the system.
    """

    param: str
    kind: Kind
    descending: bool = False
    texts: tuple[TextIs, ...] = ()


Cursor: TypeAlias = tuple[int | float | str | None, ...]
"""Where a page ended; made and read only by the store, carried encrypted by the edge."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a store is asked. `types` empty: every type, but no contained resources.

    `count` is the page size (0: none).

    Without `sort`, the order is the store's own, stable one. `total`: count all matches;
    `estimate`: that may be a rough number, which a store finds without counting all.
    """

    types: tuple[str, ...]
    where: Expression = EVERYTHING
    sort: tuple[SortKey, ...] = ()
    count: int = 50
    after: Cursor | None = None
    total: bool = False
    estimate: bool = False
