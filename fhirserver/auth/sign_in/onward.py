"""Where a browser goes when it is signed in: to a place of this server, never elsewhere."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from fhirserver.auth.pages.page import redirect, root_of
from fhirserver.auth.sign_in.browser import Browser

_LONGEST: Final = 8192


def wanted(request: Request, given: object) -> str:
    """The place that `next` names, if it is below this tenant's address; else the account.

    Only a path and query pass: browsers take `//host` and `/\\host` for another host, and drop
    control characters from what they are given (CVE-2026-41479 and many before it).
    """
    own = f"{root_of(request)}/account"
    if not isinstance(given, str) or not 0 < len(given) <= _LONGEST:
        return own
    if not given.isascii() or not given.isprintable() or "\\" in given or " " in given:
        return own
    try:
        parts = urlsplit(given)
    except ValueError:
        return own
    path = parts.path
    if parts.scheme or parts.netloc or not path.startswith("/") or given.startswith("//"):
        return own
    steps = path.lower().replace("%2e", ".").split("/")
    if ".." in steps or "." in steps:
        return own
    tree = root_of(request).removesuffix("/auth")
    return given if not tree or path.startswith(f"{tree}/") else own


def go_on(browser: Browser, request: Request, place: str) -> Response:
    """Sends the browser to a place that `wanted` gave.

    Authorization may answer with a redirect to an app, and browsers hold the whole chain behind
    a form to the form's policy. So a page lies between, which nobody has to read.
    """
    if not place.startswith(f"{root_of(request)}/authorize"):
        return redirect(place)
    return browser.page(request, "onward.html", place=place)
