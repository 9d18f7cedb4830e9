"""Ways to ask for what must be refused, and what a refusal looks like."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import httpx2
from e2e.server import FHIR_JSON, Server

GOOD = {"resourceType": "Patient", "id": "good", "active": True, "birthDate": "1970-01-01"}


def refused(answer: httpx2.Response, *statuses: int) -> dict[str, Any]:
    """The issue that the answer tells; asserts that it is a refusal as FHIR wants it."""
    assert answer.status_code in statuses, (answer.status_code, answer.text[:500])
    assert answer.headers["content-type"].startswith("application/fhir+json")
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    issue = outcome["issue"][0]
    assert issue["severity"] in ("error", "fatal")
    assert issue["details"]["text"]
    assert "Traceback" not in answer.text and 'File "' not in answer.text
    found: dict[str, Any] = issue
    return found


def post(server: Server, body: bytes, path: str = "Patient", **headers: str) -> httpx2.Response:
    return httpx2.post(
        f"{server.base}/{path}", content=body, headers=FHIR_JSON | headers, timeout=60
    )


def raw(server: Server, line: str) -> httpx2.Response:
    """The answer to a request line that is sent as it stands."""
    host = urlsplit(server.root).netloc
    data = exchange(
        server, f"{line}\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("latin-1")
    )
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = [tuple(one.split(": ", 1)) for one in lines]
    return httpx2.Response(int(first.split(" ")[1]), headers=pairs, content=body)  # type: ignore[arg-type]


def exchange(server: Server, data: bytes) -> bytes:
    """What the server answers before it closes the connection or falls silent."""
    parts = urlsplit(server.root)
    with socket.create_connection(
        (parts.hostname or "", parts.port or 0), timeout=10
    ) as connection:
        answer = b""
        try:
            connection.sendall(data)
            connection.settimeout(3)
            while part := connection.recv(1 << 16):
                answer += part
                head, found, body = answer.partition(b"\r\n\r\n")
                length = [
                    int(one.split(b":")[1])
                    for one in head.lower().split(b"\r\n")
                    if one.startswith(b"content-length:")
                ]
                if found and length and len(body) >= length[0]:
                    break
        except (TimeoutError, ConnectionError):
            pass
        return answer
