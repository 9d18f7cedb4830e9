"""Limits of requests: whom they count, what they answer, and what becomes without a counter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from limits.aio.storage import MemoryStorage
from limits.errors import StorageError

from fhirserver.rest.asgi import Receive, Scope, Send
from fhirserver.rest.throttle import Limits, Throttle

TOKEN = {"authorization": "Bearer abc"}


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    """Takes the token `abc` and no other."""
    given = dict(scope["headers"]).get(b"authorization")
    status = 401 if given not in (None, b"Bearer abc") else 200
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


def client_of(application: Any, address: str = "192.0.2.1") -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=application, client=(address, 1))
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost")


@pytest.fixture
def throttle() -> Throttle:
    return Throttle(inner, Limits("3/15 minutes", "20/15 minutes"))


@pytest.mark.check("OPS-9")
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/fhir/Patient/1"), ("POST", "/auth/token"), ("POST", "/t/a/auth/sign-in")],
)
async def test_an_address_may_ask_so_often_without_credentials(
    throttle: Throttle, method: str, path: str
) -> None:
    async with client_of(throttle) as client, client_of(throttle, "192.0.2.2") as other:
        for _ in range(3):
            assert (await client.request(method, path)).status_code == 200
        refused = await client.request(method, path)
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 15 * 60
        assert refused.json()["issue"][0]["code"] == "throttled"
        assert (await other.request(method, path)).status_code == 200


async def test_with_a_token_more_is_allowed(throttle: Throttle) -> None:
    async with client_of(throttle) as client:
        for _ in range(20):
            assert (await client.get("/fhir/Patient/1", headers=TOKEN)).status_code == 200
        assert (await client.get("/fhir/Patient/1", headers=TOKEN)).status_code == 429


@pytest.mark.check("OPS-9")
async def test_made_up_tokens_are_no_way_around(throttle: Throttle) -> None:
    async with client_of(throttle) as client:
        statuses = []
        for number in range(6):
            headers = {"authorization": f"Bearer made-up-{number}"}
            statuses.append((await client.get("/fhir/Patient/1", headers=headers)).status_code)
        assert statuses == [401, 401, 401, 429, 429, 429]


@pytest.mark.parametrize("headers", [TOKEN, {"cookie": "session=made-up"}])
async def test_signing_in_is_counted_whatever_comes_along(
    throttle: Throttle, headers: dict[str, str]
) -> None:
    async with client_of(throttle) as client:
        statuses = [
            (await client.post("/auth/token", headers=headers)).status_code for _ in range(4)
        ]
    assert statuses == [200, 200, 200, 429]


async def test_what_asks_for_much_counts_for_more(throttle: Throttle) -> None:
    async with client_of(throttle) as client:
        assert (await client.post("/fhir", headers=TOKEN)).status_code == 200
        assert (await client.get("/fhir/Patient/1/$everything", headers=TOKEN)).status_code == 200
        assert (await client.get("/fhir/Patient/1/$everything", headers=TOKEN)).status_code == 200
        assert (await client.get("/fhir/Patient/1", headers=TOKEN)).status_code == 429


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_whether_it_lives_may_always_be_asked(throttle: Throttle, path: str) -> None:
    async with client_of(throttle) as client:
        for _ in range(30):
            assert (await client.get(path)).status_code == 200


@pytest.mark.check("OPS-9")
@pytest.mark.check("OPS-10")
async def test_without_a_counter_nobody_signs_in_and_reads_go_on(
    throttle: Throttle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(self: Any, *args: object, **more: object) -> Callable[..., Any]:
        raise StorageError(ConnectionError("redis is away"))

    shared = throttle._shared.storage
    assert isinstance(shared, MemoryStorage)

    class Down(MemoryStorage):
        acquire_sliding_window_entry = down
        get_sliding_window = down

    shared.__class__ = Down
    async with client_of(throttle) as client:
        refused = await client.post("/auth/token")
        assert refused.status_code == 503
        assert "retry-after" in refused.headers
        for _ in range(3):
            assert (await client.get("/fhir/Patient/1")).status_code == 200
        assert (await client.get("/fhir/Patient/1")).status_code == 429  # by the local counter
