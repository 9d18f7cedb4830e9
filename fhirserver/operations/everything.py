"""$everything: the whole record of a patient, or all that belongs to an encounter.

https://hl7.org/fhir/R4/patient-operation-everything.html and
https://hl7.org/fhir/R4/encounter-operation-everything.html. The resources of the compartment
are the matches, what they refer to beside it comes along. All of it is one Bundle, as long as
no `_count` is asked for and the record is not larger than a page may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fhirserver.errors import Invalid
from fhirserver.interactions.bundle import Entry, Link, bundle, full_url
from fhirserver.interactions.context import Context
from fhirserver.interactions.page import address, asked_page, link, query_string
from fhirserver.interactions.request import Answer, Pairs, Request
from fhirserver.model.json import decode, encode
from fhirserver.model.outcome import Issue, operation_outcome
from fhirserver.model.temporal import interval
from fhirserver.operations.arguments import Arguments, arguments
from fhirserver.operations.care_date import in_range
from fhirserver.operations.current import current
from fhirserver.operations.referenced import referenced
from fhirserver.search.compartment import compartment_expression, compartment_types
from fhirserver.search.expression import (
    EVERYTHING,
    And,
    Cursor,
    DateIs,
    Expression,
    IdIs,
    Or,
    Query,
)
from fhirserver.store.port import Key, Version

PATIENT = "http://hl7.org/fhir/OperationDefinition/Patient-everything"
ENCOUNTER = "http://hl7.org/fhir/OperationDefinition/Encounter-everything"


class _Asked(NamedTuple):
    """`types` none: all; times in microseconds; `pairs` say the same in links."""

    types: tuple[str, ...]
    start: int | None
    end: int | None
    since: int | None
    size: int
    after: Cursor | None
    pairs: Pairs


async def patient(context: Context, request: Request) -> Answer:
    """200 with a searchset. Raises `NotFound`, `Gone`, and `Invalid` for odd parameters."""
    return await _everything(context, request, PATIENT)


async def encounter(context: Context, request: Request) -> Answer:
    """As `patient`, for all that belongs to an encounter."""
    return await _everything(context, request, ENCOUNTER)


async def _everything(context: Context, request: Request, url: str) -> Answer:
    assert request.type is not None and request.id is not None
    path = f"{request.type}/{request.id}/$everything"
    asked = _asked(context, request, url, path)
    await current(context, request.type, request.id)
    of = Key(request.type, request.id)
    page = await _page(context, request, asked, of)
    entries = [Entry(full_url(request.base, item), item.body, "match") for item in page.versions]
    entries += await _beside(context, request, asked, of, page.versions)
    links = [_self(context, request, path, asked)]
    if page.next is not None:
        links.append(link(context, request, path, asked.pairs, page.next))
    total = len(page.versions) if page.next is None and asked.after is None else None
    body = bundle("searchset", entries, total=total, links=links, timestamp=context.now())
    return Answer(200, body)


def _asked(context: Context, request: Request, url: str, path: str) -> _Asked:
    page = asked_page(context, request, path)
    if page is not None:
        request = Request(request.interaction, request.base, parameters=page.parameters)
    given = arguments(context, request, url)
    most = context.policy.max_page_size
    count = given.one("_count")
    if count is not None and count < 1:
        raise Invalid("_count is the number of resources of a page, 1 or more.")
    start, end, since = given.one("start"), given.one("end"), given.one("_since")
    return _Asked(
        _types(context, given),
        interval(start).start if start else None,
        interval(end).end if end else None,
        interval(since).start if since else None,  # inclusive, so that no change is missed
        most if count is None else min(count, most),
        page.after if page else None,
        given.pairs(),
    )


def _types(context: Context, given: Arguments) -> tuple[str, ...]:
    types = [type.strip() for text in given.all("_type") for type in text.split(",")]
    for type in types:
        if type not in context.definitions.resource_types:
            raise Invalid(f"_type: '{type[:64]}' is not a resource type of FHIR R4.")
    return tuple(dict.fromkeys(types))


class _Page(NamedTuple):
    versions: list[Version]
    next: Cursor | None


async def _page(context: Context, request: Request, asked: _Asked, of: Key) -> _Page:
    """The next matches, type by type, that of the compartment's own resource first.

    Types of which the caller may search nothing are left out, unless they are asked for. A
    cursor is the type it is in, and the store's there.
    """
    others = compartment_types(context.definitions, of.type)
    types = [of.type, *(type for type in others if type != of.type)]
    start, *inner = asked.after or (of.type,)
    versions: list[Version] = []
    for type in types[types.index(str(start)) :]:
        if type not in asked.types if asked.types else not context.may_search(request.grant, type):
            continue
        where = _where(context, asked, of, type)
        room = asked.size - len(versions)
        after = tuple(inner) if type == start and inner else None
        page = await context.store.search(Query((type,), where, count=room or 1, after=after))
        if not room:
            if page.versions:
                return _Page(versions, (type,))
            continue
        versions += page.versions
        if page.next is not None:
            return _Page(versions, (type, *page.next))
    return _Page(versions, None)


def _where(context: Context, asked: _Asked, of: Key, type: str) -> Expression:
    parts = [_owned(context, of, type), in_range(type, asked.start, asked.end)]
    if asked.since is not None:
        parts.append(DateIs("_lastUpdated", "ge", asked.since, asked.since + 1))
    return And(tuple(part for part in parts if part != EVERYTHING))


def _owned(context: Context, of: Key, type: str) -> Expression:
    """What of a type is in the compartment, the resource that it is of included."""
    members = compartment_expression(context.definitions, of.type, of.id, type)
    return Or((IdIs((of.id,)), members)) if type == of.type else members


async def _beside(
    context: Context,
    request: Request,
    asked: _Asked,
    of: Key,
    versions: Sequence[Version],
) -> list[Entry]:
    """What the matches refer to and is not of the compartment itself."""
    resources = [decode(item.body or b"{}") for item in versions]
    keys = {Key(item.type, item.id) for item in versions}
    most = context.policy.max_includes
    found = await referenced(context, request.base, resources, keys, most, attachments=True)
    own = await _own_among(context, request, of, found.versions)
    entries = [
        Entry(full_url(request.base, item), item.body, "include")
        for item in found.versions
        if Key(item.type, item.id) not in own
        and (not asked.types or item.type in asked.types)
        and (asked.since is None or item.last_updated >= asked.since)
    ]
    if found.cut:
        text = f"Only {most} of the resources that these refer to are here: ask with a _count."
        issue = Issue("warning", "incomplete", "", text)
        entries.append(Entry(resource=encode(operation_outcome([issue])), search_mode="outcome"))
    return entries


async def _own_among(
    context: Context, request: Request, of: Key, versions: Sequence[Version]
) -> frozenset[Key]:
    """Those that are of the compartment: they are matches of another page, or not wanted."""
    by_type: dict[str, list[str]] = {}
    for version in versions:
        by_type.setdefault(version.type, []).append(version.id)
    own: set[Key] = set()
    for type in set(by_type).intersection(compartment_types(context.definitions, of.type)):
        if not context.may_search(request.grant, type):
            continue
        where = And((IdIs(tuple(by_type[type])), _owned(context, of, type)))
        page = await context.store.search(Query((type,), where, count=len(by_type[type])))
        own |= {Key(type, version.id) for version in page.versions}
    return frozenset(own)


def _self(context: Context, request: Request, path: str, asked: _Asked) -> Link:
    if asked.after is not None:
        return link(context, request, path, asked.pairs, asked.after, "self")
    return Link("self", address(request.base, path) + query_string(asked.pairs))
