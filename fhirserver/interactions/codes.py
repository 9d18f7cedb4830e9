"""Searches by value sets and hierarchies of the store: `:in`, `:not-in`, `:below`, `:above`.

https://hl7.org/fhir/R4/search.html#token. A search is compiled, told which codes it needs, and
compiled again with them. As everywhere, what is stored goes before what R4 defines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, TypeVar

from fhirserver.definitions.value_set import Filter
from fhirserver.errors import FhirError, Invalid, NotFound, NotSupported, TooCostly
from fhirserver.interactions.context import Context
from fhirserver.interactions.terminology import ask
from fhirserver.search.codes import MAX_CODES, Codes, CodesAsked, Unanswered
from fhirserver.search.expression import TokenValue
from fhirserver.terminology.composition import Composition
from fhirserver.terminology.concept import split_canonical
from fhirserver.terminology.environment import Environment

_T = TypeVar("_T")

_MOST: Final = 20
"""Value sets and hierarchies of one search; each is read by itself."""


async def with_codes(context: Context, compile: Callable[[Codes], _T]) -> _T:
    """What `compile` gives, once it has the codes that it needs.

    Raises `Invalid` for what the terminology cannot tell, and `TooCostly` for too many codes.
    """
    codes: dict[CodesAsked, tuple[TokenValue, ...] | None] = {}
    while True:
        try:
            return compile(codes)
        except Unanswered as error:
            if len(codes) == _MOST:
                text = f"Search by at most {_MOST} value sets and hierarchies at once."
                raise TooCostly(text) from None
            codes[error.asked] = await _answer(context, error.asked)


async def _answer(context: Context, asked: CodesAsked) -> tuple[TokenValue, ...] | None:
    def question(environment: Environment) -> tuple[TokenValue, ...]:
        found = dict.fromkeys(islice(_ASKED[asked.relation](environment, asked), _ROWS))
        if len(found) > MAX_CODES:
            raise TooCostly(f"{asked.url} stands for more than {MAX_CODES} codes: ask for fewer.")
        return tuple(found)

    try:
        return await ask(context, question)
    except NotSupported:
        return None  # no store of concepts
    except TooCostly:
        raise
    except NotFound as error:
        if await _is_stored(context, asked.url):
            raise Invalid(error.text) from None
        return None  # an expansion that comes with R4 may still tell
    except FhirError as error:
        raise Invalid(error.text) from None


async def _is_stored(context: Context, reference: str) -> bool:
    url, _ = split_canonical(reference)
    return await context.concepts.ask(
        lambda source: bool(source.value_sets(url) or source.code_systems(url))
    )


_ROWS: Final = 10 * MAX_CODES
"""Entries that are looked at: a code may be there in several versions."""


def _members(environment: Environment, asked: CodesAsked) -> Iterable[TokenValue]:
    composition = Composition(environment, environment.value_set(asked.url))
    for member in composition.members():
        if not member.is_abstract:
            yield TokenValue(member.url, member.code)


def _below(environment: Environment, asked: CodesAsked) -> Iterable[TokenValue]:
    system = environment.system(asked.url)
    if system.find(asked.code) is None:
        raise NotFound(f"{asked.url} has no code '{asked.code}'.")
    for concept in system.select([Filter("concept", "is-a", asked.code)]):
        yield TokenValue(asked.url, concept.code)


def _above(environment: Environment, asked: CodesAsked) -> Iterable[TokenValue]:
    system = environment.system(asked.url)
    found = system.find(asked.code)
    if found is None:
        raise NotFound(f"{asked.url} has no code '{asked.code}'.")
    for code in (found.code, *system.above(found.code)):
        yield TokenValue(asked.url, code)


_ASKED: Final = {"in": _members, "below": _below, "above": _above}
