"""history: the versions of an instance, of a type, or of all resources, newest first.

https://hl7.org/fhir/R4/http.html#history. Pages show the state that the first one saw.
"""

from __future__ import annotations

from typing import NamedTuple

from fhirserver.errors import Invalid, NotFound
from fhirserver.interactions.bundle import (
    Entry,
    EntryRequest,
    EntryResponse,
    Link,
    bundle,
    full_url,
)
from fhirserver.interactions.context import Context
from fhirserver.interactions.page import address, asked_page, link, query_string
from fhirserver.interactions.parameters import check_parameters, single
from fhirserver.interactions.request import Answer, Pairs, Request
from fhirserver.model.temporal import ALWAYS, Interval, interval
from fhirserver.search.expression import Cursor
from fhirserver.store.port import HistoryPage, HistoryQuery, Version

_PARAMETERS = ("_at", "_count", "_since")
_LONG_NUMBER = 10  # digits
_STATUS = {"POST": "201 Created", "PUT": "200 OK", "PATCH": "200 OK", "DELETE": "204 No Content"}


class _Asked(NamedTuple):
    """The parameters, as they go into the links, and the page."""

    parameters: Pairs
    since: int | None
    at: Interval
    size: int
    after: Cursor | None


async def run(context: Context, request: Request) -> Answer:
    """200 with a Bundle of type history.

    Raises `NotFound` for an instance that never was, `Invalid` for what is no parameter of
    history.
    """
    path = "/".join(part for part in (request.type, request.id, "_history") if part)
    asked = _asked(context, request, path)
    page = await context.store.history(
        HistoryQuery(request.type, request.id, asked.since, asked.at, asked.size, asked.after)
    )
    if request.id is not None and page.total == 0:
        await _check_known(context, request.type or "", request.id)
    body = bundle(
        "history",
        (_entry(request.base, version) for version in page.versions),
        total=page.total,
        links=_links(context, request, path, asked, page),
        timestamp=context.now(),
    )
    return Answer(200, body)


def _asked(context: Context, request: Request, path: str) -> _Asked:
    page = asked_page(context, request, path)
    if page is not None:
        request = _with(request, page.parameters)
    check_parameters(request, _PARAMETERS)
    since, at = single(request, "_since"), single(request, "_at")
    return _Asked(
        tuple(pair for pair in request.parameters if pair[0] in _PARAMETERS),
        interval(since).start if since else None,
        interval(at) if at else ALWAYS,
        _count(context, single(request, "_count")),
        page.after if page else None,
    )


def _with(request: Request, parameters: Pairs) -> Request:
    return Request(request.interaction, request.base, parameters=parameters)


def _count(context: Context, text: str | None) -> int:
    most = context.policy.max_page_size
    if text is None:
        return min(context.policy.page_size, most)
    if not text.isascii() or not text.isdigit():
        raise Invalid(f"_count is a number of entries, not '{text[:20]}'.")
    return min(int(text), most) if len(text) < _LONG_NUMBER else most


def _links(
    context: Context, request: Request, path: str, asked: _Asked, page: HistoryPage
) -> list[Link]:
    if asked.after is None:
        links = [Link("self", address(request.base, path) + query_string(asked.parameters))]
    else:
        links = [link(context, request, path, asked.parameters, asked.after, "self")]
    if page.next is not None and asked.size:
        links.append(link(context, request, path, asked.parameters, page.next))
    return links


def _entry(base: str, version: Version) -> Entry:
    whole = version.type if version.method == "POST" else f"{version.type}/{version.id}"
    status = "201 Created" if version.version == 1 else _STATUS[version.method]
    return Entry(
        full_url=full_url(base, version),
        resource=version.body,
        request=EntryRequest(version.method, whole),
        response=EntryResponse(status, version=version.version, last_modified=version.last_updated),
    )


async def _check_known(context: Context, type: str, id: str) -> None:
    if await context.store.read(type, id) is None:
        raise NotFound(f"There is no {type}/{id}, and there never was.")
