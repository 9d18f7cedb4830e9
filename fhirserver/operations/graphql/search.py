"""Searches within a query: `PatientList`, `PatientConnection`, and those that refer back.

https://hl7.org/fhir/R4/graphql.html#searching. Arguments are search parameters, with `_` for
the `-` that GraphQL does not allow; the list of an argument are alternatives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import NamedTuple

from fhirserver.errors import Invalid
from fhirserver.interactions.codes import with_codes
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Pairs, Request
from fhirserver.model.json import Json, Resource, decode
from fhirserver.search.codes import Codes
from fhirserver.search.compile import compile_search
from fhirserver.search.expression import Cursor
from fhirserver.search.request import Limits, SearchRequest

LIST = "List"
CONNECTION = "Connection"

_REFERENCE = "_reference"
_CURSOR = "_cursor"


class Found(NamedTuple):
    """A page of resources; `next` and `first` are cursors of a connection."""

    resources: list[Resource]
    total: int | None
    size: int
    is_first: bool
    next: str | None
    first: str


def searched(context: Context, name: str) -> tuple[str, str] | None:
    """The type that a field such as `PatientList` searches, and which of the two it is."""
    for kind in (LIST, CONNECTION):
        type = name.removesuffix(kind)
        if type != name and type in context.definitions.resource_types:
            return type, kind
    return None


async def search(
    context: Context,
    request: Request,
    type: str,
    arguments: Mapping[str, Json],
    of: Resource | None,
    *,
    total: bool,
) -> Found:
    """The resources of a type that the arguments select, of those that refer to `of`.

    Raises `Invalid` for what is no parameter of search, and where the reference is not named.
    """
    given = dict(arguments)
    cursor = given.pop(_CURSOR, None)
    pairs = _pairs(context, type, given, of)
    binding = (("$graphql", request.grant.subject), (type, ""), *pairs)
    compiled = await _compiled(context, request, type, pairs)
    if compiled.query.types != (type,):
        raise Invalid("A search of GraphQL finds whole resources of its type: omit _contained.")
    if compiled.includes or compiled.summary or compiled.elements:
        raise Invalid("A search of GraphQL does not shape its answer: select fields instead.")
    query = replace(compiled.query, after=_after(context, cursor, binding), total=total)
    page = await context.store.search(query)
    return Found(
        [decode(version.body or b"{}") for version in page.versions],
        page.total,
        query.count,
        query.after is None,
        context.sealer.seal(page.next, binding) if page.next else None,
        context.sealer.seal((), binding),
    )


async def _compiled(context: Context, request: Request, type: str, pairs: Pairs) -> SearchRequest:
    now = context.now()

    def compile(codes: Codes) -> SearchRequest:
        return compile_search(
            context.definitions,
            (type,),
            pairs,
            now=now,
            base_url=request.base,
            limits=Limits(count=context.policy.page_size, max_count=context.policy.max_page_size),
            codes=codes,
        )

    return await with_codes(context, compile)


def _pairs(
    context: Context, type: str, arguments: Mapping[str, Json], of: Resource | None
) -> Pairs:
    pairs: list[tuple[str, str]] = []
    for name, value in arguments.items():
        if name != _REFERENCE:
            pairs.append((_parameter(context, type, name), _text(name, value)))
        elif of is None or not isinstance(value, str):
            raise Invalid("_reference names the parameter that refers to a resource.")
        else:
            reference = f"{of['resourceType']}/{of.get('id', '')}"
            pairs.append((_parameter(context, type, value), reference))
    if of is not None and _REFERENCE not in arguments:
        raise Invalid(f"Say by _reference how {type} refers to {of['resourceType']}.")
    return tuple(pairs)


def _parameter(context: Context, type: str, name: str) -> str:
    if name.startswith("_") or name in context.indexer.parameters(type):
        return name
    return name.replace("_", "-")


def _text(name: str, value: Json) -> str:
    if isinstance(value, list):
        return ",".join(_text(name, item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float | Decimal):
        return str(value)
    raise Invalid(f"The argument {name} is no value of search: write a text.")


def _after(context: Context, token: Json, binding: Pairs) -> Cursor | None:
    if token is None:
        return None
    if not isinstance(token, str):
        raise Invalid("_cursor is a text that a connection gave.")
    cursor, bound = context.sealer.unseal(token)
    if bound != binding:
        raise Invalid("This _cursor was made for another search.")
    return cursor or None
