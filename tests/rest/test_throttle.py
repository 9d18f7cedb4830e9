"""Limits of requests: whom they count, what they answer, and what becomes without a counter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from limits.aio.storage import MemoryStorage
from limits.errors import StorageError

from fhirserver.access.principal import Principal
from fhirserver.rest.asgi import Receive, Scope, Send
from fhirserver.rest.callers import CALLER
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


USERS = {"anna-1": "anna", "anna-2": "anna", "anna-3": "anna", "ben-1": "ben", "robot-1": None}


async def people(scope: Scope, receive: Receive, send: Send) -> None:
    """Takes the tokens of `USERS`, all of one app but the robot's."""
    token = dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer ")
    if token in USERS:
        user = USERS[token]
        scope[CALLER] = Principal(user or "client/robot", "one", (), client=user and "app")
    await inner({**scope, "headers": []}, receive, send)


class Told:
    """What `exceeded` was told."""

    def __init__(self) -> None:
        self.of: list[tuple[str, str | None]] = []

    async def __call__(self, scope: Scope, group: str, principal: Principal | None) -> None:
        self.of.append((group, principal.subject if principal else None))


async def statuses_of(throttle: Throttle, *tokens: str, path: str = "/fhir/Patient/1") -> list[int]:
    async with client_of(throttle) as client:
        return [
            (await client.get(path, headers={"authorization": f"Bearer {token}"})).status_code
            for token in tokens
        ]


@pytest.mark.check("OPS-9")
async def test_the_tokens_of_one_user_count_together() -> None:
    throttle = Throttle(people, Limits("100/hour", "12/hour"))
    # Each is taken once before it is known whose it is, and counts then.
    used = await statuses_of(throttle, *["anna-1", "anna-2"] * 6)
    assert used == [200] * 12
    assert await statuses_of(throttle, "anna-1", "anna-2", "ben-1") == [429, 429, 200]
    assert await statuses_of(throttle, "anna-3", "anna-3") == [200, 429]


@pytest.mark.check("OPS-9")
async def test_all_users_of_an_app_count_together() -> None:
    throttle = Throttle(people, Limits("100/hour", "100/hour", app="30/hour"))
    asked = await statuses_of(throttle, *["anna-1", "ben-1"] * 25)
    assert asked.count(200) in range(30, 36)  # counted by threes, and the first of each not
    assert set(asked[36:]) == {429}
    assert await statuses_of(throttle, "robot-1", "robot-1") == [200, 200]


@pytest.mark.check("OPS-9")
async def test_what_is_refused_counts_for_nobody_any_more() -> None:
    taken = dict(USERS)

    async def ending(scope: Scope, receive: Receive, send: Send) -> None:
        token = dict(scope["headers"])[b"authorization"].decode().removeprefix("Bearer ")
        if token in taken:
            await people(scope, receive, send)
        else:
            await inner(scope, receive, send)

    throttle = Throttle(ending, Limits("100/hour", "6/hour"))
    assert await statuses_of(throttle, "anna-1", "anna-1", "anna-2") == [200] * 3
    del taken["anna-1"]  # revoked; whoever has it now must not use up what Anna may ask
    assert await statuses_of(throttle, *["anna-1"] * 5) == [401] * 5
    assert await statuses_of(throttle, "anna-2", "anna-2") == [200, 200]


@pytest.mark.check("AUD-5")
@pytest.mark.check("OPS-9")
async def test_who_asks_for_too_much_is_told_once() -> None:
    told = Told()
    throttle = Throttle(people, Limits("3/hour", "5/hour"), told)
    await statuses_of(throttle, *["anna-1"] * 40, *["ben-1"] * 5)
    assert told.of == [("client", "anna")]
    async with client_of(throttle) as client:
        for _ in range(40):
            await client.post("/auth/token", headers=TOKEN)
    assert told.of == [("client", "anna"), ("sign-in", None)]


@pytest.mark.check("AUD-5")
async def test_a_flood_from_many_places_is_told_of_so_many_only() -> None:
    told = Told()
    throttle = Throttle(inner, Limits("1/hour", "5/hour"), told)
    for number in range(100):
        async with client_of(throttle, f"192.0.2.{number}") as client:
            for _ in range(3):
                await client.get("/fhir/Patient/1")
    assert 50 <= len(told.of) <= 121  # 60 a minute; a minute may begin in between
