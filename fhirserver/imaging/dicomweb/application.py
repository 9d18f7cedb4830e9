"""DICOMweb as an ASGI application: STOW-RS, QIDO-RS, WADO-RS and WADO-URI (PS3.18, 9 and 10).

It translates only. Each request passes the gate once (a store: twice for each study), and an
answer begins when the gate has answered.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from fhirserver.access.grant import OPEN
from fhirserver.audit.recorder import Origin
from fhirserver.blobs.port import Blobs
from fhirserver.errors import Fault, FhirError, Forbidden
from fhirserver.imaging.dicomweb.asked import Asked
from fhirserver.imaging.dicomweb.problem import refused
from fhirserver.imaging.dicomweb.response import Streamed, send_streamed
from fhirserver.imaging.dicomweb.route import route
from fhirserver.imaging.dicomweb.services import Services
from fhirserver.imaging.rendering.processes import Processes
from fhirserver.interactions.request import Answer, Request
from fhirserver.rest.application import Authenticate, Edge
from fhirserver.rest.asgi import Disconnected, Message, Receive, Scope, Send
from fhirserver.rest.asked import uri_path
from fhirserver.rest.callers import CALLER
from fhirserver.rest.cors import SAFE_METHODS
from fhirserver.rest.headers import Headers, header_map
from fhirserver.rest.peer import address_of
from fhirserver.rest.query import query_pairs
from fhirserver.rest.reply import Reply
from fhirserver.rest.shield import REQUEST_ID

_LOG: Final = logging.getLogger("fhirserver.imaging.dicomweb")
PATH: Final = "/dicom-web"
_NOT_KEPT: Final = (b"cache-control", b"no-store")
_TOO_LITTLE: Final = 'Bearer realm="fhir", error="insufficient_scope"'
BODY_LIMIT: Final = 4 * 2**30
"""Most bytes of a body to store, where nothing else is set."""


class DicomWeb:
    """The service of one tenant, below `root` + `/dicom-web`.

    `dispatch` is the gate's; `edge` is how the FHIR base meets HTTP, which this does likewise;
    `processes` decode pixels. Without `authenticate` everybody may do everything.
    """

    def __init__(
        self,
        dispatch: Callable[[Request], Awaitable[Answer]],
        blobs: Blobs,
        edge: Edge,
        root: str,
        processes: Processes,
        now: Callable[[], int],
        authenticate: Authenticate | None = None,
        store_limit: int = BODY_LIMIT,
    ) -> None:
        self._edge = edge
        self._authenticate = authenticate
        self._prefix = len(f"{root}{PATH}")
        self._fhir_path = edge.base_url.path.rpartition("/")[2]
        self._services = Services(dispatch, blobs, processes, now, edge, store_limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        headers: Headers = {}
        is_begun = False
        is_head = scope["method"] == "HEAD"

        async def begin(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        async def answer(reply: Reply | Streamed) -> None:
            self._finish(reply, headers)
            await send_streamed(reply, receive, begin, head=is_head)

        try:
            try:
                headers = header_map(scope["headers"])
                await answer(await self._reply(scope, headers, receive))
            except FhirError as error:
                if is_begun:
                    raise
                await answer(self._refused(error))
        except Disconnected:
            return
        except Exception as error:
            name = _logged(error, scope)
            if is_begun:  # the client has to see that something is missing
                raise
            fault = Fault(f"The server failed. Try again, or tell its operator the id {name}.")
            await answer(self._refused(fault))

    async def _reply(self, scope: Scope, headers: Headers, receive: Receive) -> Reply | Streamed:
        edge, method = self._edge, scope["method"]
        fhir = edge.base_url.of(scope["scheme"], headers, scope.get("client"))
        base = f"{fhir.removesuffix(self._fhir_path).rstrip('/')}{PATH}"
        path = uri_path(scope, edge.uri_limit)[self._prefix :]
        if method == "OPTIONS":
            return self._options(path, headers)
        grant = OPEN
        if self._authenticate is not None:
            raw_path = scope.get("raw_path") or scope["path"].encode()
            address = base + raw_path.decode("latin-1")[self._prefix :]
            grant = await self._authenticate(headers, method, address)
            scope[CALLER] = grant.principal
        if method not in SAFE_METHODS:
            edge.cors.check(headers, base)
        target = route(path)
        target.check(method)
        query = scope["query_string"]
        host = headers.get(b"host", b"").decode("latin-1")
        origin = Origin(address_of(scope), host, str(scope.get(REQUEST_ID, "")))
        asked = Asked(
            target,
            method,
            fhir,
            base,
            grant,
            origin,
            headers,
            query_pairs(query) if query else (),
        )
        return await self._services.answer(asked, receive)

    def _options(self, path: str, headers: Headers) -> Reply:
        if b"access-control-request-method" in headers:
            return Reply(204, self._edge.cors.preflight(headers))
        allowed = ", ".join((*route(path).methods, "OPTIONS"))
        return Reply(204, [(b"allow", allowed.encode("ascii"))])

    def _refused(self, error: FhirError) -> Reply:
        if self._authenticate is not None and type(error) is Forbidden:
            error.headers.setdefault("WWW-Authenticate", _TOO_LITTLE)
        return refused(error)

    def _finish(self, reply: Reply | Streamed, headers: Headers) -> None:
        reply.headers.append(_NOT_KEPT)
        if b"origin" in headers and b"access-control-request-method" not in headers:
            reply.headers.extend(self._edge.cors.headers(headers))


def _logged(error: Exception, scope: Scope) -> str:
    """Notes a failure of our own under the request's id, which it gives.

    Not the exception's text: it may quote the request or an instance.
    """
    name = str(scope.get(REQUEST_ID, "-"))
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    _LOG.error("request %s failed: %s at %s", name, type(error).__name__, places)
    return name
