"""The application of the FHIR base, with a gate whose answers the test chooses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import pytest
from rest.exchange import Desk, Response, call

from fhirserver.definitions.packaged import packaged
from fhirserver.rest.application import Edge, FhirApplication
from fhirserver.rest.base_url import BaseUrl


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def edge() -> Edge:
    return Edge(BaseUrl("/fhir"))


@pytest.fixture
def app(desk: Desk, edge: Edge) -> FhirApplication:
    numbers = count(1)
    return FhirApplication(desk.dispatch, packaged(), edge, lambda: f"request-{next(numbers)}")


Fetch = Callable[..., Awaitable[Response]]


@pytest.fixture
def fetch(app: FhirApplication) -> Fetch:
    async def fetch(
        method: str, target: str, headers: Any = None, body: Any = b"", **scope: Any
    ) -> Response:
        return await call(app, method, target, headers, body, **scope)

    return fetch
