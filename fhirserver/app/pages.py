"""The few pages that belong to no edge: the start page, and whether the server is there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Final

from fhirserver.access.grant import OPEN
from fhirserver.app.edge import FHIR_PATH
from fhirserver.app.running import Running
from fhirserver.errors import FhirError
from fhirserver.interactions.request import Request
from fhirserver.model.json import decode
from fhirserver.rest.asgi import Scope, Send
from fhirserver.rest.headers import header_map
from fhirserver.rest.landing import SECURITY_HEADERS, Landing, examples, landing_page
from fhirserver.rest.reply import Reply, send_reply


async def send_page(path: str, scope: Scope, running: Running, send: Send) -> None:
    """Answers a request for a page of a tenant's tree; `path` is as from its root."""
    method = scope["method"]
    page = _PAGES.get(path)
    try:
        if page is None:
            reply = _text(404, f"Nothing is here. The FHIR base is at {running.root}{FHIR_PATH}.")
        elif method not in ("GET", "HEAD"):
            reply = _text(405, "This page can be read only.", (b"allow", b"GET, HEAD"))
        else:
            reply = await page(scope, running)
    except FhirError as error:
        reply = _text(error.status, error.text)
    await send_reply(reply, send, head=method == "HEAD")


async def _landing(scope: Scope, running: Running) -> Reply:
    headers = header_map(scope["headers"])
    base = running.base_url.of(scope["scheme"], headers, scope.get("client"))
    # What it holds is told where everybody may see it anyway.
    counts = await _counts(running, base) if running.is_open else {}
    patient = await _some_patient(running, base) if counts.get("Patient") else None
    told = Landing(
        version=version("fhirserver"),
        base=base,
        is_open=running.is_open,
        counts=counts,
        examples=examples(counts, patient),
        has_sample_app=running.has_sample_app,
    )
    lines = [(name.lower().encode(), text.encode()) for name, text in SECURITY_HEADERS.items()]
    html = (b"content-type", b"text/html; charset=utf-8")
    return Reply(200, [html, *lines], landing_page(told))


async def _alive(scope: Scope, running: Running) -> Reply:
    return _text(200, "alive")


async def _ready(scope: Scope, running: Running) -> Reply:
    await running.store.read("Basic", "is-the-store-there")
    return _text(200, "ready")


_PAGES: Final[dict[str, Callable[[Scope, Running], Awaitable[Reply]]]] = {
    "/": _landing,
    "/healthz": _alive,
    "/readyz": _ready,
}


async def _counts(running: Running, base: str) -> dict[str, int]:
    """How many resources there are, by type; asked at the gate, as everybody must."""
    counts = {}
    for type in sorted(running.definitions.resource_types):
        ask = Request("search-type", base, type, parameters=(("_summary", "count"),), grant=OPEN)
        answer = await running.dispatch(ask)
        if total := decode(answer.body or b"{}").get("total"):
            counts[type] = total
    return counts


async def _some_patient(running: Running, base: str) -> str | None:
    ask = Request("search-type", base, "Patient", parameters=(("_count", "1"),), grant=OPEN)
    answer = await running.dispatch(ask)
    entries = decode(answer.body or b"{}").get("entry", ())
    return entries[0]["resource"]["id"] if entries else None


def _text(status: int, text: str, *headers: tuple[bytes, bytes]) -> Reply:
    lines = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    return Reply(status, [*lines, *headers], f"{text}\n".encode())
