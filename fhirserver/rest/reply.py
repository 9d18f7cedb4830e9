"""What goes back over HTTP for an answer or a refusal: status, headers and body.

https://hl7.org/fhir/R4/http.html#Status-Codes and #summary.
"""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from typing import NamedTuple

from fhirserver.errors import FhirError
from fhirserver.interactions.request import Answer
from fhirserver.model.json import encode, pretty
from fhirserver.model.outcome import issues_of, operation_outcome
from fhirserver.rest.asgi import HeaderList, Send

OUTCOME_TYPE = b"application/fhir+json; charset=utf-8"

_BODILESS = frozenset({204, 304})


class Reply(NamedTuple):
    """An HTTP response; `headers` has no Content-Length yet."""

    status: int
    headers: HeaderList
    body: bytes = b""
    compressible: bool = True


def answered(answer: Answer, content_type: bytes, base: str, *, indent: bool = False) -> Reply:
    """The response that carries an answer in a JSON media type."""
    body = answer.body
    headers: HeaderList = [] if body is None else [(b"content-type", content_type)]
    if body is not None and indent:
        body = pretty(body)
    if answer.version is not None:
        headers.append((b"etag", b'W/"%d"' % answer.version))
    if answer.last_updated is not None:
        headers.append((b"last-modified", http_date(answer.last_updated // 1_000_000)))
    if answer.location is not None:
        headers.append((b"location", f"{base}/{answer.location}".encode()))
    if answer.headers:
        headers.extend(_encoded(answer.headers))
    return Reply(answer.status, headers, body or b"")


def refused(error: FhirError, *, indent: bool = False) -> Reply:
    """The response to a refused request: an OperationOutcome."""
    body = encode(operation_outcome(issues_of(error)))
    headers = [(b"content-type", OUTCOME_TYPE), *_encoded(error.headers)]
    return Reply(error.status, headers, pretty(body) if indent else body)


@lru_cache(maxsize=4096)
def http_date(second: int) -> bytes:
    """A second since 1970 as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`."""
    return formatdate(second, usegmt=True).encode()


async def send_reply(reply: Reply, send: Send, *, head: bool) -> None:
    """Sends a response, without its body when the request was a HEAD."""
    status, headers, body, _ = reply
    if status not in _BODILESS:
        headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})


def _encoded(headers: dict[str, str]) -> HeaderList:
    return [(name.lower().encode("ascii"), value.encode()) for name, value in headers.items()]
