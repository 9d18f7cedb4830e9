"""Which edge answers which addresses."""

from __future__ import annotations

from typing import Any

import pytest
from rest.exchange import call
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fhirserver.app.mounts import Mounts


async def plain(scope: Any, receive: Any, send: Any) -> None:
    """Stands for an edge that takes whole paths."""


async def told(request: Request) -> Response:
    return PlainTextResponse(str(request.url_for("token")))


@pytest.mark.parametrize("root", ["", "/t/one"])
def test_by_the_first_part_of_the_path(root: str) -> None:
    mounts = Mounts(root)
    mounts.add("/fhir", plain)
    for path in ("/fhir", "/fhir/", "/fhir/Patient/a"):
        assert mounts.find(f"{root}{path}") is plain
    for path in ("/", "/fhirs", "/fhi", "/auth", "//fhir", "/Fhir", "/x/fhir"):
        assert mounts.find(f"{root}{path}") is None


@pytest.mark.parametrize("root", ["", "/t/one"])
async def test_routes_are_written_as_from_the_root_of_the_edge(root: str) -> None:
    mounts = Mounts(root)
    mounts.add_tree("/auth", Starlette(routes=[Route("/token", told, name="token")]))
    edge = mounts.find(f"{root}/auth/token")
    assert edge is not None
    answer = await call(edge, "GET", f"{root}/auth/token", {"Host": "h.example"})
    assert answer.status == 200
    assert answer.body.decode().endswith(f"//h.example{root}/auth/token")
