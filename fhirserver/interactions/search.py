"""Search of a type, of a compartment and of the whole system, by GET or POST alike.

https://hl7.org/fhir/R4/search.html. Stored bytes go into the Bundle as they are; only what
`_summary`, `_elements` and includes look at is decoded.

A total is given where `_total` or `_summary=count` asks for it, and where the first page holds
all matches, so that it costs nothing. The `self` link of a first page shows the parameters
that were applied, in normal form; all other links carry a token only (`page`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from fhirserver.errors import TooCostly
from fhirserver.interactions.bundle import Entry, Link, bundle, full_url
from fhirserver.interactions.codes import with_codes
from fhirserver.interactions.context import Context, Policy
from fhirserver.interactions.include import include
from fhirserver.interactions.page import CURSOR, Page, address, asked_page, link, query_string
from fhirserver.interactions.request import Answer, Handling, Pairs, Request
from fhirserver.model.json import Resource, decode, encode
from fhirserver.model.outcome import Issue, operation_outcome
from fhirserver.search.codes import Codes
from fhirserver.search.compile import compile_search
from fhirserver.search.contained import container_key, held, is_contained, local_id
from fhirserver.search.expression import Cursor, Query, TextIs
from fhirserver.search.request import Limits, SearchRequest
from fhirserver.search.score import score, shown
from fhirserver.search.shape import shaped
from fhirserver.search.text import words_of
from fhirserver.store.port import SearchPage, Version


@dataclass(frozen=True, slots=True)
class _Asked:
    """A search, and which page of it; `now` and `total` are those of its first page."""

    search: SearchRequest
    compartment: tuple[str, str] | None
    now: int
    page: Page | None = None
    total: int | None = None

    @property
    def query(self) -> Query:
        if self.page is None:
            return self.search.query
        return replace(self.search.query, after=self.page.after, total=False)


async def run(context: Context, request: Request) -> Answer:
    """A searchset Bundle, which may be empty.

    Raises `Invalid` and its kind for what cannot be understood, with strict handling also for
    what is not known; `Gone` for a page link that has expired.
    """
    asked = await _asked(context, request)
    asked, found = await _found(context, asked)
    total = _total(asked, found)
    entries = await _entries(context, request, asked.search, found.versions)
    links = _links(context, request, asked, found.next, total)
    return Answer(200, bundle("searchset", entries, total=total, links=links))


# --- what is asked --------------------------------------------------------------------------


async def _asked(context: Context, request: Request) -> _Asked:
    page = asked_page(context, request, _path(request.type, request.compartment))
    if page is None:
        now = context.now()
        search = await compiled(
            context, request, request.parameters, request.compartment, request.handling, now
        )
        return _Asked(search, request.compartment, now)
    (first_now, first_total), (code, id), *parameters = page.parameters
    compartment = (code, id) if code else None
    now = int(first_now)
    search = await compiled(context, request, tuple(parameters), compartment, "strict", now)
    return _Asked(search, compartment, now, page, int(first_total) if first_total else None)


async def compiled(
    context: Context,
    request: Request,
    parameters: Pairs,
    compartment: tuple[str, str] | None,
    handling: Handling,
    now: int,
) -> SearchRequest:
    """The search that parameters ask for, as the house rules limit it."""

    def compile(codes: Codes) -> SearchRequest:
        return compile_search(
            context.definitions,
            (request.type,) if request.type else (),
            parameters,
            handling=handling,
            now=now,
            base_url=request.base,
            compartment=compartment,
            limits=_limits(context.policy),
            codes=codes,
        )

    return await with_codes(context, compile)


@lru_cache(maxsize=8)
def _limits(policy: Policy) -> Limits:
    return Limits(
        count=policy.page_size, max_count=policy.max_page_size, full_text=policy.full_text
    )


async def _found(context: Context, asked: _Asked) -> tuple[_Asked, SearchPage]:
    """The page; without the total, and with a warning, where counting takes too long."""
    query = asked.query
    try:
        return asked, await context.store.search(query)
    except TooCostly:
        if not (query.total and query.count):
            raise
    found = await context.store.search(replace(query, total=False))
    search = replace(asked.search, ignored=(*asked.search.ignored, _UNCOUNTED))
    return replace(asked, search=search), found


# --- what is answered -----------------------------------------------------------------------


def _total(asked: _Asked, found: SearchPage) -> int | None:
    if asked.page is not None:
        return asked.total
    if (
        found.total is None
        and found.next is None
        and ("_total", "none") not in asked.search.applied
    ):
        return len(found.versions)
    return found.total


async def _entries(
    context: Context, request: Request, search: SearchRequest, versions: Sequence[Version]
) -> list[Entry]:
    base, issues = request.base, list(search.ignored)
    texts = search.texts
    versions = _alone(versions)
    whole = search.summary is None and not search.elements and not texts
    if whole and not search.includes:
        entries = [Entry(full_url(base, item), item.body, "match") for item in versions]
    else:
        resources: list[Resource] = [decode(item.body or b"") for item in versions]
        entries = [
            Entry(
                full_url(base, item),
                _shaped(context, search, item, resource),
                "match",
                score=_score(texts, resource) if texts else None,
            )
            for item, resource in zip(versions, resources, strict=True)
        ]
        brought = await include(context, base, search.includes, versions, resources)
        in_short = replace(search, elements=())  # which name elements of the matches only
        entries += (
            Entry(full_url(base, item), _shaped(context, in_short, item), "include")
            for item in brought.versions
        )
        if brought.cut:
            issues.append(_cut(context.policy.max_includes))
    if issues:
        entries.append(Entry(resource=encode(operation_outcome(issues)), search_mode="outcome"))
    return entries


def _score(texts: tuple[TextIs, ...], resource: Resource) -> float:
    return shown(score(texts, words_of(resource, tuple(text.param for text in texts))))


def _alone(versions: Sequence[Version]) -> Sequence[Version]:
    """The versions; contained resources without what they were found in.

    A container is decoded once, however many of its resources were found.
    """
    containers: dict[tuple[str, str], dict[str, Resource]] = {}
    alone = []
    for item in versions:
        if is_contained(item.type):
            container = container_key(item.id)
            if container not in containers:
                containers[container] = held(decode(item.body or b"{}"))
            found = containers[container][local_id(item.id)]
            item = item._replace(body=encode(found))
        alone.append(item)
    return alone


def _shaped(
    context: Context, search: SearchRequest, version: Version, resource: Resource | None = None
) -> bytes | None:
    """The bytes of a resource, or of the part of it that the search asks for."""
    if version.body is None or (search.summary is None and not search.elements):
        return version.body
    whole = decode(version.body) if resource is None else resource
    part = shaped(context.definitions, whole, search.summary, search.elements)
    return version.body if part is whole else encode(part)


_UNCOUNTED = Issue(
    "warning",
    "too-costly",
    "",
    "To count all matches takes too long, so there is no total. Ask for _total=estimate, or add a "
    "more selective parameter.",
)


def _cut(limit: int) -> Issue:
    text = (
        f"Only {limit} of the resources to include are here. Ask for smaller pages with _count, "
        "or search for the others."
    )
    return Issue("warning", "too-costly", "", text)


# --- links ----------------------------------------------------------------------------------


def _links(
    context: Context, request: Request, asked: _Asked, after: Cursor | None, total: int | None
) -> list[Link]:
    links = [Link("self", _self(request, asked))]
    # The types of a later page are told by its path, the compartment by its token.
    path = _path(request.type, None)
    state = ((str(asked.now), "" if total is None else str(total)), asked.compartment or ("", ""))
    parameters = state + asked.search.applied
    if asked.page is not None:
        links.append(link(context, request, path, parameters, None, "first"))
    if after is not None:
        links.append(link(context, request, path, parameters, after))
    return links


def _self(request: Request, asked: _Asked) -> str:
    url = address(request.base, _path(request.type, request.compartment))
    if asked.page is None:
        return url + query_string(asked.search.applied)
    return url + query_string(tuple(pair for pair in request.parameters if pair[0] == CURSOR))


def _path(type: str | None, compartment: tuple[str, str] | None) -> str:
    if compartment is None:
        return type or ""
    return f"{compartment[0]}/{compartment[1]}/{type or '*'}"
