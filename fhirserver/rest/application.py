"""The FHIR base as an ASGI application: a request in, its interaction, the response out.

https://hl7.org/fhir/R4/http.html. Whatever goes wrong is answered with an OperationOutcome;
what goes wrong on our side is logged under the request's id, without anything that the
request or a resource says.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from fhirserver.access.grant import ANONYMOUS, OPEN, Grant
from fhirserver.audit.recorder import Origin
from fhirserver.definitions.registry import Definitions
from fhirserver.errors import Fault, FhirError, Forbidden, MethodNotAllowed
from fhirserver.interactions.request import Answer, Request
from fhirserver.interactions.route import route
from fhirserver.rest.asgi import Disconnected, Receive, Scope, Send
from fhirserver.rest.asked import Asked, asked, bare_read, uri_path, wanted_format, wants_indent
from fhirserver.rest.base_url import BaseUrl
from fhirserver.rest.binary import BINARY, raw_content
from fhirserver.rest.body import BodyLimits
from fhirserver.rest.callers import CALLER
from fhirserver.rest.content_coding import gzip, takes_gzip
from fhirserver.rest.cors import SAFE_METHODS, Cors
from fhirserver.rest.headers import Headers, header_map
from fhirserver.rest.negotiation import USUAL_TYPE, answered_type, is_xml, refusal_type
from fhirserver.rest.peer import address_of
from fhirserver.rest.position import placed_answer, placed_refusal, tells_places
from fhirserver.rest.prefer import NO_PREFERENCES, applied
from fhirserver.rest.reply import Reply, answered, refused, send_reply
from fhirserver.rest.shield import request_id_of
from fhirserver.rest.xml_body import written_xml

_LOG = logging.getLogger("fhirserver.rest")
_TOO_LITTLE = 'Bearer realm="fhir", error="insufficient_scope"'
_PUBLIC = frozenset({"/metadata"})
_NO_HEADERS: Headers = {}
# Neither a shared cache nor a browser's disk is a place for patients' data.
_NOT_KEPT = (b"cache-control", b"no-store")
_INTERACTION = "fhirserver.interaction"  # where the scope keeps it, for the log
_CONTENT_TYPE = "fhirserver.content-type"  # and what to answer in, for refusals


@dataclass(frozen=True, slots=True)
class Edge:
    """How the FHIR base meets HTTP.

    `uri_limit` in bytes; answers of `gzip_over` bytes and more are compressed for those who
    take it. `log_requests` writes a line for each, of the interaction, not of its address.
    """

    base_url: BaseUrl
    body: BodyLimits = field(default_factory=BodyLimits)
    cors: Cors = field(default_factory=Cors)
    uri_limit: int = 16 * 1024
    gzip_over: int = 1400
    log_requests: bool = False


Authenticate: TypeAlias = Callable[[Headers, str, str], Awaitable[Grant]]
"""What the sender of a request may do, by its headers, method and address without query.

Raises `Unauthenticated` or `Forbidden`.
"""


class FhirApplication:
    """The base. `dispatch` is the gate's, `new_request_id` names a request that has no id.

    Without `authenticate` everybody may do everything.
    """

    def __init__(
        self,
        dispatch: Callable[[Request], Awaitable[Answer]],
        definitions: Definitions,
        edge: Edge,
        new_request_id: Callable[[], str],
        authenticate: Authenticate | None = None,
    ) -> None:
        self._authenticate = authenticate
        self._dispatch = dispatch
        self._definitions = definitions
        self._edge = edge
        self._new_request_id = new_request_id
        self._prefix = len(edge.base_url.path)
        self._mount = edge.base_url.path.removeprefix("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        started = time.perf_counter() if self._edge.log_requests else 0.0
        headers = _NO_HEADERS
        request_id = b""
        try:
            name = request_id_of(scope, self._new_request_id)
            request_id = name.encode("ascii")
            headers = header_map(scope["headers"])
            if scope["method"] == "OPTIONS":
                reply = self._options(scope, headers)
            else:
                origin = _origin(scope, headers, name)
                reply = await self._reply(scope, headers, receive, origin)
        except FhirError as error:
            reply = self._refused(error, scope, headers)
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001 - the last resort; it is logged
            reply = self._refused(_fault(error, scope, request_id), scope, headers)
        self._finish(reply, headers, request_id)
        coding = headers.get(b"accept-encoding")
        if coding is not None and reply.compressible and len(reply.body) >= self._edge.gzip_over:
            reply = await _packed(reply, coding)
        await send_reply(reply, send, head=scope["method"] == "HEAD")
        if self._edge.log_requests:
            _log_request(scope, reply.status, time.perf_counter() - started, request_id)

    async def _reply(
        self, scope: Scope, headers: Headers, receive: Receive, origin: Origin
    ) -> Reply:
        edge = self._edge
        base = edge.base_url.of(scope["scheme"], headers, scope.get("client"))
        grant = OPEN
        if self._authenticate is not None:
            grant = await self._granted(self._authenticate, scope, headers, base)
            scope[CALLER] = grant.principal
        bare = bare_read(scope, self._mount, headers, base, self._definitions)
        if bare is not None:
            scope[_INTERACTION] = "read"
            bare.origin = origin
            content_type = answered_type(headers.get(b"accept"), None)
            bare.grant = grant
            answer = await self._dispatch(bare)
            if content_type is not USUAL_TYPE and is_xml(content_type):
                answer = await self._in_xml(answer, indent=False)
            return answered(answer, content_type, base)
        method = scope["method"]
        path = uri_path(scope, edge.uri_limit)[self._prefix :]
        if method not in SAFE_METHODS:
            edge.cors.check(headers, base)
        ask = await asked(
            scope,
            path,
            headers,
            receive,
            base=base,
            definitions=self._definitions,
            limits=edge.body,
        )
        request = ask.request
        request.grant = grant
        scope[_INTERACTION] = request.interaction
        request.origin = origin
        scope[_CONTENT_TYPE] = ask.content_type
        answer = await self._answer(ask, headers)
        raw = _raw(answer, headers, base) if ask.content_type is None else None
        if raw is not None:
            return raw
        content_type = ask.content_type or answered_type(headers.get(b"accept"), None)
        indent = ask.indent
        if is_xml(content_type):
            answer, indent = await self._in_xml(answer, indent=indent), False
        reply = answered(answer, content_type, base, indent=indent)
        if ask.preferences is not NO_PREFERENCES:
            reply.headers.extend(applied(ask.preferences, request.interaction))
        return reply

    async def _answer(self, ask: Asked, headers: Headers) -> Answer:
        """What the gate answers; what it tells of the body with line and column."""
        request, body, kind = ask.request, ask.body, headers.get(b"content-type")
        try:
            answer = await self._dispatch(request)
        except FhirError as error:
            if body and request.type != BINARY:
                placed_refusal(error, request, body, kind)
            raise
        if body and tells_places(request) and request.type != BINARY:
            return placed_answer(answer, request, body, kind)
        return answer

    async def _granted(
        self, authenticate: Authenticate, scope: Scope, headers: Headers, base: str
    ) -> Grant:
        """What the sender may do; decided before anything else of the request is looked at."""
        path = scope["path"][self._prefix :]
        if path in _PUBLIC and b"authorization" not in headers:
            return ANONYMOUS
        raw_path = scope.get("raw_path") or scope["path"].encode()
        address = base + raw_path.decode("latin-1")[self._prefix :]
        return await authenticate(headers, scope["method"], address)

    def _options(self, scope: Scope, headers: Headers) -> Reply:
        path = uri_path(scope, self._edge.uri_limit)[self._prefix :]
        self._edge.base_url.of(scope["scheme"], headers, scope.get("client"))
        if b"access-control-request-method" in headers:
            return Reply(204, self._edge.cors.preflight(headers))
        try:
            route("OPTIONS", path, self._definitions)
        except MethodNotAllowed as error:
            return Reply(204, [(b"allow", f"{error.headers['Allow']}, OPTIONS".encode())])
        raise Fault("An address takes the method OPTIONS that has none of its own.")

    async def _in_xml(self, answer: Answer, *, indent: bool) -> Answer:
        """The answer with its body in XML."""
        if answer.body is None:
            return answer
        return replace(
            answer, body=await written_xml(answer.body, self._definitions, indent=indent)
        )

    def _refused(self, error: FhirError, scope: Scope, headers: Headers) -> Reply:
        """The response to a refused request, in the form that it asked for if that is known."""
        content_type = scope.get(_CONTENT_TYPE) or refusal_type(
            headers.get(b"accept"), wanted_format(scope)
        )
        if self._authenticate is not None and type(error) is Forbidden:
            # Whatever is lacking, scope or role: this token does not do (RFC 6750, 3.1).
            error.headers.setdefault("WWW-Authenticate", _TOO_LITTLE)
        return refused(
            error,
            content_type=content_type,
            definitions=self._definitions,
            indent=wants_indent(scope),
        )

    def _finish(self, reply: Reply, headers: Headers, request_id: bytes) -> None:
        lines = reply.headers
        lines.append(_NOT_KEPT)
        lines.append((b"x-request-id", request_id))
        if b"origin" in headers and b"access-control-request-method" not in headers:
            lines += self._edge.cors.headers(headers)
        if reply.status == 413 and b"expect" in headers:
            lines.append((b"connection", b"close"))  # else the body might come as a request


def _origin(scope: Scope, headers: Headers, request_id: str) -> Origin:
    """Where the request came from, for the audit trail."""
    host = headers.get(b"host", b"").decode("latin-1")
    return Origin(address_of(scope), host, request_id)


async def _packed(reply: Reply, accept_encoding: bytes) -> Reply:
    """The reply compressed, for those who take it so."""
    if not takes_gzip(accept_encoding):
        return reply
    lines = [*reply.headers, (b"content-encoding", b"gzip")]
    return Reply(reply.status, lines, await gzip(reply.body))


def _raw(answer: Answer, headers: Headers, base: str) -> Reply | None:
    """The content of a Binary that was read; None where it goes out as a resource."""
    if answer.body is None:
        return None
    raw = raw_content(answer.body, headers.get(b"accept"))
    if raw is None:
        return None
    lines, content = raw
    described = answered(replace(answer, body=None), b"", base)
    return Reply(answer.status, lines + described.headers, content, compressible=False)


def _fault(error: Exception, scope: Scope, request_id: bytes) -> Fault:
    """What is told of a failure of the server itself, which is noted in the log."""
    name = request_id.decode("ascii")
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
    # Not the exception's text: it may quote the request or a resource.
    _LOG.error(
        "request %s failed: %s in %s at %s",
        name,
        type(error).__name__,
        scope.get(_INTERACTION, "the edge"),
        places,
    )
    return Fault(f"The server failed. Try again, or tell its operator the request id {name}.")


def _log_request(scope: Scope, status: int, seconds: float, request_id: bytes) -> None:
    _LOG.info(
        "%s %s %d %.1f ms %s",
        scope["method"],
        scope.get(_INTERACTION, "-"),
        status,
        seconds * 1000,
        request_id.decode("ascii"),
    )
