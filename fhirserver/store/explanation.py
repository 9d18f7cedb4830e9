"""How the conditions of a search are told in an explanation: their form, without their values."""

from __future__ import annotations

from fhirserver.search.expression import And, Chain, Expression, Has, Not, Or
from fhirserver.store.port import Explanation


def condition_step(
    name: str, part: Expression, figures: tuple[tuple[str, str | int], ...] = ()
) -> Explanation:
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
