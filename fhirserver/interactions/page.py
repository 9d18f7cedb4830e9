"""Links from one page of a search or history to the next.

https://hl7.org/fhir/R4/http.html#paging. A link is `[base]/[path]?_cursor=[token]`; the
token (`Sealer`) holds the whole request and where the page ended. It can be used only by
whom it was made for, and only at its own address.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from fhirserver.errors import Invalid
from fhirserver.interactions.bundle import Link
from fhirserver.interactions.context import Context
from fhirserver.interactions.parameters import check_parameters, single
from fhirserver.interactions.request import Pairs, Request
from fhirserver.search.expression import Cursor

CURSOR = "_cursor"
_PLAIN = "-._~!$'()*,:@/?"  # what RFC 3986 lets a query show, less the separators


class Page(NamedTuple):
    """What a page link asks: `parameters` are those given to `link`, `after` the cursor.

    `after` is None for the first page.
    """

    after: Cursor | None
    parameters: Pairs


def link(
    context: Context,
    request: Request,
    path: str,
    parameters: Pairs,
    after: Cursor | None,
    relation: str = "next",
) -> Link:
    """A link to the page after a cursor (None: the first page), at `path` below the base."""
    binding = (path, _caller(request))
    token = context.sealer.seal(after or (), (binding, *parameters))
    url = f"{address(request.base, path)}?{CURSOR}={token}"
    if request.kept:
        url += f"&{query_string(request.kept)[1:]}"
    return Link(relation, url)


def asked_page(context: Context, request: Request, path: str) -> Page | None:
    """The page that the request's `_cursor` asks for; None when it has none.

    Raises `Invalid` for a token that is not of this address and caller, and for parameters
    beside it; `Gone` for an expired one.
    """
    token = single(request, CURSOR)
    if token is None:
        return None
    check_parameters(request, (CURSOR,))
    cursor, (binding, *parameters) = context.sealer.unseal(token)
    if binding != (path, _caller(request)):
        raise Invalid("This page link was made for another address or caller.")
    return Page(cursor or None, tuple(parameters))


def _caller(request: Request) -> str:
    """Whom a link is made for: who sees the same, by the same rights."""
    return request.grant.binding or request.grant.subject


def address(base: str, path: str) -> str:
    """The URL of a path below the base; the base itself for the empty path."""
    return f"{base}/{path}" if path else base


def query_string(parameters: Pairs) -> str:
    """The pairs as the query of a URL, with `?` in front; '' for none."""
    if not parameters:
        return ""
    return "?" + "&".join(
        f"{quote(name, safe=_PLAIN)}={quote(value, safe=_PLAIN)}" for name, value in parameters
    )
