"""What the stores tell alike of how a search is run: its conditions without values, its figures."""

from __future__ import annotations

from typing import Final, TypeAlias

from fhirserver.search.expression import And, Chain, Expression, Has, Not, Or
from fhirserver.store.port import Explanation, SearchPage

Figure: TypeAlias = tuple[str, str | int]

MOST_TYPES: Final = 20
"""Types whose plans are told."""


def search_step(
    types: int, planned: float, ran: float, page: SearchPage, plans: tuple[Explanation, ...]
) -> Explanation:
    """A search that was run: of how many types, the seconds that it took, and what it gave."""
    figures: list[Figure] = [
        ("types", types),
        ("planMicroseconds", round(planned * 1e6)),
        ("runMicroseconds", round(ran * 1e6)),
        ("found", len(page.versions)),
        ("more", "yes" if page.next is not None else "no"),
    ]
    if page.total is not None:
        figures.append(("total", page.total))
    return Explanation("search", tuple(figures), plans)


def condition_step(name: str, part: Expression, figures: tuple[Figure, ...] = ()) -> Explanation:
    """A condition as a step, with the conditions in it as its own steps."""
    inner: tuple[Expression, ...] = ()
    if isinstance(part, And | Or):
        inner = part.parts
    elif isinstance(part, Not):
        inner = (part.part,)
    elif isinstance(part, Chain | Has):
        inner = (part.where,)
    told = type(part).__name__
    param = getattr(part, "param", None)
    if isinstance(param, str):
        told = f"{told} {param}"
    steps = tuple(condition_step("part", one) for one in inner)
    return Explanation(name, (("condition", told), *figures), steps)
