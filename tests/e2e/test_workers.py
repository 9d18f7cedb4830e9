"""What two workers of one server count together, on a Redis of their own."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import httpx2
import pytest
from e2e.server import Server, serving
from redis_service import Service, needs_redis, redis_service

pytestmark = [pytest.mark.e2e, pytest.mark.slow, *needs_redis]

_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
FAILURES = 8


def sign_in(server: Server, name: str) -> int:
    """The status of a sign-in with a wrong password, on a connection of its own."""
    with httpx2.Client(base_url=server.root, timeout=60) as browser:
        page = browser.get("/auth/sign-in")
        form = dict(_HIDDEN.findall(page.text)) | {"name": name, "password": "wrong"}
        return browser.post("/auth/sign-in", data=form, headers={"Origin": server.root}).status_code


def both_count(redis: Service) -> bool:
    """Whether two processes have connections to Redis: one has one for each kind of count."""
    clients = redis.client.client_list()
    return len({entry["id"] for entry in clients}) > 2


@pytest.mark.check("OPS-1")
@pytest.mark.check("OPS-9")
def test_workers_count_together(tmp_path: Path) -> None:
    with redis_service(tmp_path) as redis:
        options = ("--auth", "smart", "--workers", "2")
        limits = {"FHIRSERVER_REDIS": redis.url, "FHIRSERVER_LIMIT_ANONYMOUS": "100/hour"}
        with serving(tmp_path / "data", *options, **limits) as server:
            asked: Counter[int] = Counter()
            while not both_count(redis) or asked.total() < 10:
                asked[httpx2.get(f"{server.base}/Patient/x").status_code] += 1
                assert asked.total() < 90, "the system gave all connections to one worker"
            assert set(asked) == {401}
            statuses = Counter(sign_in(server, f"nobody-{number}") for number in range(FAILURES))
            assert 429 not in statuses
            (key,) = redis.client.keys("LIMITS:LIMITER/127.0.0.1/20/1/minute")
            assert redis.client.llen(key) == FAILURES
            # page and form of each sign-in are requests as well; the pages count apart
            for _ in range(120 - asked.total() - FAILURES):
                asked[httpx2.get(f"{server.base}/Patient/x").status_code] += 1
            assert asked[429] > 0
            assert asked[401] <= 100

            redis.kill()
            assert sign_in(server, "nobody") == 503
            assert httpx2.get(f"{server.root}/fhir/metadata").status_code == 200
            redis.start()
