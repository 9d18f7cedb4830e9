"""The browser at the other end: its cookies, and proof that a form came from a page of ours.

Cookies are `__Host-`, HttpOnly, Secure and SameSite=Lax
(https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis section 4.1.3). Over plain
http, which is for a loopback address only, they go without Secure and so without the prefix.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from fhirserver.auth.pages.page import render, root_of
from fhirserver.errors import Forbidden, Invalid, TooLarge, UnsupportedMediaType
from fhirserver.identity.session import SignedIn
from fhirserver.identity.sessions import Sessions

CSRF: Final = "csrf"
"""The field of every form that says which browser it was made for."""

_VISIT_BYTES: Final = 16
_FORM: Final = "application/x-www-form-urlencoded"
_FIELDS: Final = 200  # a consent has one for each scope
_MOST_BYTES: Final = 128 * 1024
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_NOT_OURS: Final = Forbidden("This form is out of date. Go back, load the page again, and retry.")


class Browser:
    """Cookies and forms of one tenant's pages.

    `origin_of` gives the origin (`https://host:port`) by which a request reached the server;
    `key` (32 bytes) marks forms; `random` gives bytes that nobody can guess; `tenant` keeps the
    cookies of several tenants on one host apart.
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        origin_of: Callable[[Request], str],
        key: bytes,
        random: Callable[[int], bytes],
        tenant: str = "",
    ) -> None:
        self._sessions = sessions
        self._key = key
        self._random = random
        self._suffix = f"-{tenant}" if tenant else ""
        self.origin_of = origin_of

    # who it is
    async def signed_in(self, request: Request) -> SignedIn | None:
        """Who is signed in with this browser, second factor included; None if nobody is."""
        return await self._sessions.find(self.cookie(request, "session"))

    def sign_in_address(self, request: Request, *, fresh: bool = False) -> str:
        """Where to send somebody who has to sign in before this GET request is answered.

        `fresh`: also somebody who is signed in, to prove it again (`prompt=login`, `max_age`,
        signing, break-glass).
        """
        page = "reauthenticate" if fresh else "sign-in"
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return f"{root_of(request)}/{page}?next={quote(path, safe='')}"

    # cookies
    def cookie(self, request: Request, name: str) -> str | None:
        """The value of one of our cookies (`session`, `visit`, `device`)."""
        return request.cookies.get(self._name(request, name))

    def give(
        self, request: Request, response: Response, name: str, value: str, seconds: int | None
    ) -> None:
        """Sends a cookie; `seconds` None: it goes when the browser is closed."""
        response.set_cookie(
            self._name(request, name),
            value,
            max_age=seconds,
            path="/",
            secure=self._is_secure(request),
            httponly=True,
            samesite="lax",
        )

    def take(self, request: Request, response: Response, name: str) -> None:
        """Takes a cookie away."""
        self.give(request, response, name, "", 0)

    # pages and forms
    def page(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        form_action: Iterable[str] = (),
        **values: Any,
    ) -> Response:
        """The page of a template; its forms carry `<input name="csrf" value="{{ csrf }}">`."""
        visit = self.cookie(request, "visit")
        known = visit or _text(self._random(_VISIT_BYTES))
        made = render(
            request,
            template,
            status=status,
            form_action=form_action,
            csrf=self._mark(request, known),
            **values,
        )
        if visit is None:
            self.give(request, made, "visit", known, None)
        return made

    def plain(self, request: Request, *, status: int, **values: Any) -> Response:
        """A page that says something and has no form, for when cookies may be the trouble."""
        return render(request, "message.html", status=status, **values)

    async def form(self, request: Request) -> FormData:
        """The form that was sent. Raises `Forbidden` when no page of ours in this browser sent it,
        `TooLarge`, `Invalid` and `UnsupportedMediaType` for what no form of ours is like.

        `SameSite=Lax` and the mark each suffice; what a browser says of its own accord is a
        third look.
        """
        self.check_site(request)
        form = await _read(request)
        self.check(request, form.get(CSRF))
        return form

    def check(self, request: Request, mark: object) -> None:
        """Raises `Forbidden` unless `mark` was made for this browser and its session."""
        visit = self.cookie(request, "visit")
        if visit is None or not isinstance(mark, str):
            raise _NOT_OURS
        if not hmac.compare_digest(mark.encode(), self._mark(request, visit).encode()):
            raise _NOT_OURS

    def check_site(self, request: Request) -> None:
        """Raises `Forbidden` for what a page of another site made the browser send."""
        site = request.headers.get("sec-fetch-site", "same-origin")
        origin = request.headers.get("origin", "null")
        if site not in ("same-origin", "none") or origin not in ("null", self.origin_of(request)):
            raise _NOT_OURS

    def _mark(self, request: Request, visit: str) -> str:
        session = self.cookie(request, "session") or ""
        return _text(hmac.digest(self._key, f"form\0{visit}\0{session}".encode(), "sha256"))

    def _name(self, request: Request, name: str) -> str:
        prefix = "__Host-" if self._is_secure(request) else ""
        return f"{prefix}fhirserver-{name}{self._suffix}"

    def _is_secure(self, request: Request) -> bool:
        parts = urlsplit(self.origin_of(request))
        if parts.scheme == "https":
            return True
        if parts.hostname in _LOOPBACK:
            return False
        raise Forbidden("Signing in needs https: over plain http a password could be read.")


async def _read(request: Request) -> FormData:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise UnsupportedMediaType(f"Send the form as {_FORM}.")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            raise TooLarge("The form is too long.")
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_FIELDS
        )
    except ValueError as error:
        raise Invalid("The form cannot be read.") from error
    found: list[tuple[str, str | UploadFile]] = [*pairs]
    return FormData(found)


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
