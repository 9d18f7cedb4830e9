"""Pages made from templates, and the headers that every one of them is sent with.

A page works without script, loads nothing from elsewhere and has no style inside, so that its
policy needs no exception (https://www.w3.org/TR/CSP3/).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from fhirserver.auth.pages.static import version_of

_FOLDER: Final = Path(__file__).parent / "templates"
_HOST: Final = r"//([A-Za-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]+)?"
_ORIGIN: Final = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*:({_HOST})?")

PROTECTION: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Pragma": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""What every page and redirect of /auth is sent with, beside its content security policy."""


def render(
    request: Request,
    template: str,
    *,
    status: int = 200,
    form_action: Iterable[str] = (),
    headers: dict[str, str] | None = None,
    **values: Any,
) -> HTMLResponse:
    """The page of a template of `templates/`, which extends `layout.html`.

    `form_action` are origins that a form of the page may lead to in the end, beside this
    server: browsers apply the policy to where the answer to a form redirects as well. The
    template knows `root` (the path that addresses of /auth begin with) and `values`.
    """
    text = environment().get_template(template).render(root=root_of(request), **values)
    sent = {**PROTECTION, "Content-Security-Policy": policy(form_action), **(headers or {})}
    return HTMLResponse(text, status, headers=sent)


def redirect(address: str) -> RedirectResponse:
    """Sends the browser on with a GET, whatever it came with (303; RFC 9700 section 4.12)."""
    return RedirectResponse(address, 303, headers=PROTECTION)


def policy(form_action: Iterable[str] = ()) -> str:
    """The content security policy of a page. Raises `ValueError` for what is no origin."""
    targets = ["'self'", *form_action]
    for target in targets[1:]:
        if not _ORIGIN.fullmatch(target):
            raise ValueError("A form leads to an origin or the scheme of an app only.")
    return (
        "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; connect-src 'self'; "
        f"img-src 'self'; script-src 'self'; style-src 'self'; form-action {' '.join(targets)}"
    )


def root_of(request: Request) -> str:
    """The path that this tree is mounted at: `/auth`, or `/t/NAME/auth`."""
    root: str = request.scope.get("root_path", "")
    return root.rstrip("/")


@cache
def environment() -> Environment:
    """The templates of all pages of /auth; whatever is put into them is escaped."""
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(version_of=version_of, day=_day, instant=_instant, named=_named)
    return made


def _day(instant: int) -> str:
    return datetime.fromtimestamp(instant // 1_000_000, UTC).strftime("%d %B %Y").lstrip("0")


def _instant(instant: int) -> str:
    return datetime.fromtimestamp(instant // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M")


def _named(id: bytes) -> str:
    return base64.urlsafe_b64encode(id).rstrip(b"=").decode()
