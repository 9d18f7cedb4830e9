"""The terminology that a request can rest on: what it brought, what is stored, what is packaged.

Also answers for validation, which asks of many codes at once whether they are in value sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from fhirserver.errors import FhirError
from fhirserver.interactions.context import Context
from fhirserver.model.json import Resource
from fhirserver.terminology.composition import Composition
from fhirserver.terminology.environment import Environment, Rules
from fhirserver.terminology.in_memory import Resources
from fhirserver.terminology.packaged import Packaged
from fhirserver.terminology.snomed.implicit import Implicit
from fhirserver.terminology.source import Source

_T = TypeVar("_T")


async def ask(
    context: Context,
    question: Callable[[Environment], _T],
    rules: Rules | None = None,
    brought: Iterable[Resource] = (),
) -> _T:
    """What the question makes of all that is known; what was `brought` goes before the rest.

    The question may be asked again from the beginning, in another thread.
    """
    extra = Resources(brought)
    packaged = Packaged(context.definitions)

    def whole(stored: Source) -> _T:
        known = (extra, stored, packaged)
        return question(Environment((*known, Implicit(known)), rules))

    return await context.concepts.ask(whole)


async def in_value_sets(
    context: Context, asked: Sequence[tuple[str, Sequence[tuple[str | None, str]]]]
) -> list[bool | None]:
    """For each value set and codes (system, code): whether one of the codes is in it.

    None where that cannot be told: the value set or a code system that it needs is not here, or
    only in part.
    """

    def question(environment: Environment) -> list[bool | None]:
        return [_any_in(environment, url, codes) for url, codes in asked]

    return await ask(context, question)


async def names_of(
    context: Context, asked: Sequence[tuple[str, str | None, str]]
) -> list[tuple[str, ...]]:
    """For each code, as system, version and code: all its names; none where it is not here."""

    def question(environment: Environment) -> list[tuple[str, ...]]:
        return [_names(environment, *item) for item in asked]

    return await ask(context, question)


def _names(environment: Environment, url: str, version: str | None, code: str) -> tuple[str, ...]:
    try:
        concept = environment.system(url, version).find(code)
    except FhirError:
        return ()
    return () if concept is None else tuple(concept.terms())


def _any_in(
    environment: Environment, value_set: str, codes: Sequence[tuple[str | None, str]]
) -> bool | None:
    try:
        composition = Composition(environment, environment.value_set(value_set))
    except FhirError:
        return None
    answer: bool | None = False
    for system, code in codes:
        try:
            if any(composition.find(system, None, code)):
                return True
            if not composition.knows_all(system):
                answer = None
        except FhirError:
            answer = None
    return answer
