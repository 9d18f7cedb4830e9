"""The sign-in pages of a tenant, mounted as the server mounts them, and browsers."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx2
import pytest
import stores
from auth.sign_in.visit import Recorded, Visit
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount
from store.making import Clock

from fhirserver.auth.sign_in.browser import Browser
from fhirserver.auth.sign_in.place import Place
from fhirserver.auth.sign_in.routes import sign_in_routes
from fhirserver.auth.sign_in.trail import Trail
from fhirserver.identity.identity import Identity
from fhirserver.identity.password import Cost, Hasher
from fhirserver.identity.slowdown import Slowdown
from fhirserver.store.port import ServerStore

ORIGIN = "https://fhir.example.org"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[ServerStore]:
    store = await stores.open_store(tmp_path / "fhir.db", clock)
    yield store
    await store.close()


@pytest.fixture
def identity(store: ServerStore, clock: Clock) -> Iterator[Identity]:
    numbers = itertools.count(1)
    found = Identity(
        store.records,
        key=bytes(32),
        now=clock,
        new_id=lambda: f"account-{next(numbers)}",
        random=secrets.token_bytes,
        hasher=Hasher(random=secrets.token_bytes, cost=Cost(time=1, memory=8, lanes=1)),
        slowdown=Slowdown(),
        two_step_roles=frozenset({"support"}),
    )
    yield found
    found.hasher.close()


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def place(identity: Identity, recorded: Recorded) -> Place:
    browser = Browser(
        identity.sessions,
        origin_of=lambda request: f"{request.url.scheme}://{request.headers['host']}",
        key=identity.form_key,
        random=secrets.token_bytes,
    )

    def address_of(request: Request) -> str:
        return request.headers.get("x-test-address", "192.0.2.1")

    trail = Trail(recorded, tenant="default", address_of=address_of)
    return Place(identity, browser, trail, {"work": "The <Clinic>"})


@pytest.fixture
def visit(place: Place) -> Callable[..., Visit]:
    """A browser that was never here; `origin` is what it calls the server by."""
    app = Starlette(routes=[Mount("/auth", routes=sign_in_routes(place))])

    def made(origin: str = ORIGIN) -> Visit:
        transport = httpx2.ASGITransport(app=app)
        return Visit(httpx2.AsyncClient(transport=transport, base_url=origin))

    return made
