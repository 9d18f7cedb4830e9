"""Headers and ids of every answer, and who is at the other end."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import httpx2
import pytest
from serving import started

from fhirserver import Settings, create_app
from fhirserver.rest.asgi import Receive, Scope, Send
from fhirserver.rest.peer import address_of, forwarded_address
from fhirserver.rest.shield import CURRENT, RequestIds, Shield

PATHS = (
    "/",
    "/nothing",
    "/healthz",
    "/fhir/metadata",
    "/fhir/Patient/1",
    "/fhir/Nonsense",
    "/fhir/.well-known/smart-configuration",
    "/auth/jwks",
    "/auth/authorize",
    "/auth/nothing",
    "/t/nobody/fhir/metadata",
)


@pytest.mark.check("BCP-2")
@pytest.mark.parametrize("auth", ["none", "smart"])
async def test_every_answer_of_every_tree_has_them(tmp_path: Path, auth: Any) -> None:
    app = create_app(Settings(data=tmp_path, auth=auth))
    async with started(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="https://localhost") as client:
            for path in PATHS:
                answer = await client.get(path, headers={"x-request-id": "mine-1"})
                told = answer.headers
                assert told["x-content-type-options"] == "nosniff", path
                assert told["referrer-policy"] == "no-referrer", path
                assert told["x-frame-options"] == "DENY", path
                policy = told["content-security-policy"]
                assert "default-src 'none'" in policy, path
                assert "unsafe" not in policy, path
                assert told["strict-transport-security"].startswith("max-age="), path
                assert told["x-request-id"] == "mine-1", path
                for name, count in _counts(answer).items():
                    assert count == 1, (path, name)


def _counts(answer: httpx2.Response) -> dict[str, int]:
    names = [name.lower() for name, _ in answer.headers.multi_items() if name != "set-cookie"]
    return {name: names.count(name) for name in ("x-frame-options", "x-request-id")}


async def test_without_tls_no_transport_security_is_claimed() -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    shield = Shield(inner, lambda: "new-1", ("127.0.0.1",))
    transport = httpx2.ASGITransport(app=shield)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        plain = await client.get("/")
        assert "strict-transport-security" not in plain.headers
        assert plain.headers["x-request-id"] == "new-1"
        behind = await client.get("/", headers={"x-forwarded-proto": "https"})
        assert "strict-transport-security" in behind.headers
        odd = await client.get("/", headers={"x-request-id": "a b"})
        assert odd.headers["x-request-id"] == "new-1"


@pytest.mark.check("BCP-13")
@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),  # no proxy of ours: not believed
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),  # the first is made up
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
def test_the_address_behind_proxies(peer: str, forwarded: str, expected: str) -> None:
    scope = {"client": (peer, 1), "headers": [(b"x-forwarded-for", forwarded.encode())]}
    assert forwarded_address(scope, ("10.0.0.0/8",)) == expected
    assert forwarded_address(scope, ()) == peer
    assert address_of(scope) == peer


def test_each_line_of_the_log_names_its_request() -> None:
    record = logging.LogRecord("fhirserver", logging.INFO, "", 1, "text", (), None)
    CURRENT.set("req-7")
    assert RequestIds().filter(record)
    assert record.__dict__["request"] == "req-7"
