"""Requests over ASGI without sockets, and a gate that answers what a test tells it to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import decode


@dataclass
class Response:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return decode(self.body)

    @property
    def issue(self) -> Any:
        assert self.json["resourceType"] == "OperationOutcome"
        return self.json["issue"][0]


async def call(
    app: Any,
    method: str,
    target: str,
    headers: dict[str, str] | list[tuple[bytes, bytes]] | None = None,
    body: bytes | list[bytes] = b"",
    **scope: Any,
) -> Response:
    """What an ASGI application answers; a body given as a list arrives in those chunks."""
    if not isinstance(headers, list):
        headers = [
            (name.lower().encode(), value.encode()) for name, value in (headers or {}).items()
        ]
    if not any(name == b"host" for name, _ in headers):
        headers = [(b"host", b"localhost"), *headers]
    path, _, query = target.partition("?")
    chunks = list(body) if isinstance(body, list) else [body]

    async def receive() -> dict[str, Any]:
        if not chunks:
            return {"type": "http.disconnect"}
        chunk = chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    response = Response()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            response.status = message["status"]
            for name, value in message["headers"]:
                assert name == name.lower()
                assert name.decode() not in response.headers, f"{name!r} twice"
                response.headers[name.decode()] = value.decode()
        else:
            response.body += message["body"]

    await app(
        {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": headers,
            "client": ("127.0.0.1", 50000),
        }
        | scope,
        receive,
        send,
    )
    return response


PATIENT = b'{"resourceType":"Patient","id":"p1","meta":{"versionId":"3"},"active":true}'
PATIENT_P1 = Answer(200, PATIENT, "Patient", "p1", 3, 784_111_777_000_000)


class Desk:
    """Answers each request with `answer`, raising it if it is an exception; keeps the last."""

    def __init__(self) -> None:
        self.answer: Answer | Exception = PATIENT_P1
        self.request: Request | None = None

    async def dispatch(self, request: Request) -> Answer:
        self.request = request
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    @property
    def asked(self) -> Request:
        assert self.request is not None
        return self.request
