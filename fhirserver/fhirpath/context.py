"""What an evaluation knows beside the expression: variables, services and limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias

from fhirserver.fhirpath.errors import FhirPathExecutionError, FhirPathLimitError
from fhirserver.fhirpath.node import Collection, Node
from fhirserver.fhirpath.references import Scope
from fhirserver.fhirpath.shapes import Shapes
from fhirserver.model.json import Json, Resource

MAX_ITEMS: Final = 1_000_000
"""How many items a collection may have."""

MAX_TEXT: Final = 1_000_000
"""How long a string may become, in characters."""

MAX_STEPS: Final = 2_000_000
"""How much an evaluation may do; a step is about an item that is visited."""


@dataclass(frozen=True, slots=True)
class Services:
    """What only the caller can do; a function whose service is missing is refused.

    - `resolve`: the resource of a reference, None if there is none (`resolve()`)
    - `now`: the current time with its zone (`now()`, `today()`, `timeOfDay()`)
    - `member_of`: whether a code, Coding or CodeableConcept is in a value set; None if unknown
    - `subsumes`: whether the first of two codes or Codings subsumes the second
    - `conforms_to`: whether a value conforms to a profile; None if the profile is not known
    - `slice`: the values among some that are in a slice of a profile's element
    - `trace`: takes the name and items of a `trace()`
    """

    resolve: Callable[[str], Resource | None] | None = None
    now: Callable[[], datetime] | None = None
    member_of: Callable[[Json, str], bool | None] | None = None
    subsumes: Callable[[Json, Json], bool | None] | None = None
    conforms_to: Callable[[Json, str], bool | None] | None = None
    slice: Callable[[list[Json], str, str], list[Json]] | None = None
    trace: Callable[[str, list[Json]], None] | None = None


NO_SERVICES: Final = Services()


class Run:
    """One evaluation, which may do as much as `most` steps."""

    __slots__ = (
        "_now",
        "context",
        "most",
        "resource",
        "root",
        "scope",
        "services",
        "shapes",
        "steps",
        "variables",
    )

    def __init__(
        self,
        context: Node,
        resource: Node,
        root: Node,
        shapes: Shapes,
        services: Services = NO_SERVICES,
        variables: dict[str, Collection] | None = None,
        most: int = MAX_STEPS,
    ) -> None:
        self.most = most
        self.context = context
        self.resource = resource
        self.root = root
        self.shapes = shapes
        self.services = services
        self.variables = variables
        self._now: datetime | None = None
        self.steps = 0
        self.scope = Scope(root.value, services.resolve)

    def spend(self, steps: int) -> None:
        """Counts what is done, and ends what does too much."""
        self.steps += steps
        if self.steps > self.most:
            raise FhirPathLimitError("The expression has too much to do on this resource.")

    @property
    def now(self) -> datetime:
        """The time of the evaluation, the same however often it is asked for."""
        if self._now is None:
            if self.services.now is None:
                raise FhirPathExecutionError("The current time is not available here.")
            self._now = self.services.now()
        return self._now


class Frame:
    """Where an expression is evaluated: `$this`, `$index`, `$total`, defined variables."""

    __slots__ = ("index", "run", "this", "total", "variables")

    def __init__(
        self,
        run: Run,
        this: Collection,
        index: Collection | None = None,
        total: Collection | None = None,
        variables: dict[str, Collection] | None = None,
    ) -> None:
        self.run = run
        self.this = this
        self.index = index
        self.total = total
        self.variables = variables

    def inner(self) -> Frame:
        """A frame in which a scoped function sets its own `$this` and so on."""
        return Frame(self.run, self.this, self.index, self.total, self.variables)


Code: TypeAlias = Callable[[Frame], Collection]
"""A compiled expression."""


class Key(NamedTuple):
    """What `sort` orders by."""

    code: Code
    descending: bool


def bounded(items: Collection) -> Collection:
    """The items, if they are not too many."""
    if len(items) > MAX_ITEMS:
        raise FhirPathLimitError(f"A collection may have at most {MAX_ITEMS} items.")
    return items


def check_length(length: int) -> None:
    """Refuses a string that would be too long, before it is made."""
    if length > MAX_TEXT:
        raise FhirPathLimitError(f"A string may have at most {MAX_TEXT} characters.")


def text_steps(length: int) -> int:
    """What making a string of some length counts as."""
    return length // 64
