"""What is not HTTP, or only half of it."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest
from e2e.hostile import exchange
from e2e.server import Server


@pytest.mark.parametrize(
    "data",
    [
        b"GARBAGE\r\n\r\n",
        b"GET /fhir/Patient\r\n\r\n",
        b"GET /fhir/metadata HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 20_000 + b"\r\n",
        b"GET /fhir/Patient HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        bytes(range(256)) * 100,
    ],
    ids=lambda data: repr(data[:40]),
)
def test_what_is_not_http_harms_nobody(victim: Server, data: bytes) -> None:
    answer = exchange(victim, data)
    assert answer == b"" or answer.split(b" ", 2)[1][:1] == b"4", answer[:200]
    assert victim.count("Patient") == 1


def test_a_body_that_never_comes_holds_nobody_up(victim: Server) -> None:
    parts = urlsplit(victim.root)
    hanging = [socket.create_connection((parts.hostname or "", parts.port or 0)) for _ in range(50)]
    for one in hanging:
        one.sendall(
            b"POST /fhir/Patient HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/fhir+json\r\nContent-Length: 1000\r\n\r\n{"
        )
    assert victim.count("Patient") == 1
    for one in hanging:
        one.close()
    assert victim.count("Patient") == 1
