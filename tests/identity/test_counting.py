"""Counts that workers share on a real Redis, and what becomes of them when it goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from limits import parse
from limits.errors import StorageError
from redis_service import Service, needs_redis, redis_service
from rest.test_throttle import TOKEN, client_of, inner

from fhirserver.errors import Throttled, Unavailable
from fhirserver.identity import counting
from fhirserver.identity.slowdown import Slowdown
from fhirserver.rest.throttle import Limits, Throttle

pytestmark = needs_redis

LIMIT = parse("3/hour")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Service]:
    with redis_service(tmp_path) as found:
        yield found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock by which a Redis is left alone."""
    now = [1000.0]

    class Time:
        @staticmethod
        def monotonic() -> float:
            return now[0]

    def move(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(counting, "time", Time)
    return move


@asynccontextmanager
async def slowdowns(redis: Service, number: int) -> AsyncIterator[list[Slowdown]]:
    """Those of so many workers."""
    made = [Slowdown(f"async+{redis.url}", (LIMIT,)) for _ in range(number)]
    try:
        yield made
    finally:
        for one in made:
            await close(one._limiter.storage)


@asynccontextmanager
async def throttles(redis: Service, number: int) -> AsyncIterator[list[Throttle]]:
    limits = Limits("4/15 minutes", "20/15 minutes", f"async+{redis.url}")
    made = [Throttle(inner, limits) for _ in range(number)]
    try:
        yield made
    finally:
        for one in made:
            await close(one._shared.storage)


async def close(storage: object) -> None:
    await storage.bridge.storage.aclose()  # type: ignore[attr-defined]


@pytest.mark.check("OPS-1")
@pytest.mark.check("OPS-9")
async def test_failures_are_counted_together_by_all_workers(redis: Service) -> None:
    async with slowdowns(redis, 2) as (one, other):
        await one.failed("192.0.2.7")
        await other.failed("192.0.2.7")
        await one.check("192.0.2.7")
        await one.failed("192.0.2.7")
        for worker in (one, other):
            with pytest.raises(Throttled):
                await worker.check("192.0.2.7")
            await worker.check("192.0.2.8")


@pytest.mark.check("OPS-9")
@pytest.mark.parametrize(("method", "path"), [("GET", "/fhir/Patient/1"), ("POST", "/auth/token")])
async def test_requests_are_counted_together_by_all_workers(
    redis: Service, method: str, path: str
) -> None:
    async with (
        throttles(redis, 2) as (one, other),
        client_of(one) as first,
        client_of(other) as second,
    ):
        statuses = [
            (await client.request(method, path)).status_code
            for client in (first, second, first, second, first, second)
        ]
        refused = await second.request(method, path)
    assert statuses == [200, 200, 200, 200, 429, 429]
    assert 1 <= int(refused.headers["retry-after"]) <= 15 * 60


@pytest.mark.check("OPS-9")
async def test_made_up_tokens_count_for_all_workers(redis: Service) -> None:
    async with (
        throttles(redis, 2) as (one, other),
        client_of(one) as first,
        client_of(other) as second,
    ):
        statuses = []
        for number in range(6):
            headers = {"authorization": f"Bearer made-up-{number}"}
            client = (first, second)[number % 2]
            statuses.append((await client.get("/fhir/Patient/1", headers=headers)).status_code)
    assert statuses == [401, 401, 401, 401, 429, 429]


@pytest.mark.check("OPS-9")
@pytest.mark.check("OPS-10")
@pytest.mark.parametrize("fault", ["kill", "hang"])
async def test_redis_goes_and_comes_back(
    redis: Service, clock: Callable[[float], None], fault: str
) -> None:
    async with (
        throttles(redis, 1) as (throttle,),
        slowdowns(redis, 1) as (slowdown,),
        client_of(throttle) as client,
    ):
        for _ in range(4):
            assert (await client.get("/fhir/Patient/1")).status_code == 200
        assert (await client.get("/fhir/Patient/1")).status_code == 429
        await slowdown.failed("192.0.2.7")

        getattr(redis, fault)()
        refused = await client.post("/auth/token")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
        for ask in (slowdown.check, slowdown.failed):
            with pytest.raises(Unavailable):
                await ask("192.0.2.7")
        # by this worker's own counts, which begin now
        statuses = [(await client.get("/fhir/Patient/1")).status_code for _ in range(5)]
        assert statuses == [200] * 4 + [429]
        assert (await client.get("/fhir/Patient/1", headers=TOKEN)).status_code == 200

        redis.start() if fault == "kill" else redis.go_on()
        clock(2)
        assert (await client.post("/auth/token")).status_code == 200
        await slowdown.check("192.0.2.7")
        forgotten = 200 if fault == "kill" else 429  # what a killed one has counted is lost
        assert (await client.get("/fhir/Patient/1")).status_code == forgotten


async def test_what_did_not_answer_is_left_alone_for_a_moment(
    redis: Service, clock: Callable[[float], None]
) -> None:
    limiter = counting.moving(f"async+{redis.url}")
    assert await limiter.hit(LIMIT, "a")
    redis.hang()
    with pytest.raises(StorageError):
        await limiter.hit(LIMIT, "a")
    redis.go_on()
    with pytest.raises(StorageError, match="a moment ago"):
        await limiter.test(LIMIT, "a")
    clock(2)
    assert await limiter.test(LIMIT, "a")
    await close(limiter.storage)
