"""An expired token opens no route of the server: each interaction, each operation, each tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from auth.tokens.world import World

from fhirserver.definitions.packaged import packaged
from fhirserver.interactions.dispatch import INTERACTIONS
from fhirserver.interactions.route import BUNDLE, route
from fhirserver.operations.table import offered

FHIR_ROUTES = (
    ("GET", "Patient/a"),
    ("GET", "Patient/a/_history/1"),
    ("PUT", "Patient/a"),
    ("PUT", "Patient?_id=a"),
    ("PATCH", "Patient/a"),
    ("PATCH", "Patient?_id=a"),
    ("DELETE", "Patient/a"),
    ("DELETE", "Patient?_id=a"),
    ("GET", "Patient/a/_history"),
    ("GET", "Patient/_history"),
    ("GET", "_history"),
    ("POST", "Patient"),
    ("GET", "Patient"),
    ("POST", "Patient/_search"),
    ("GET", ""),
    ("POST", "_search"),
    ("GET", "Patient/a/Observation"),
    ("GET", "Patient/__explain"),
    ("GET", "__async-status/a"),
    ("DELETE", "__async-status/a"),
    ("POST", ""),
)
OTHER_ROUTES = (
    ("GET", "/dicom-web/studies"),
    ("POST", "/dicom-web/studies"),
    ("GET", "/dicom-web/studies/1.2.3"),
    ("GET", "/dicom-web/studies/1.2.3/series/1.2.3/instances/1.2.3/frames/1"),
    ("GET", "/dicom-web/wado?requestType=WADO"),
)


def operations() -> Iterator[tuple[str, str]]:
    """Each operation at each of its levels."""
    for row in offered(expunges=True):
        type = row.types[0] if row.types else "Patient"
        for level in row.levels:
            place = {"system": "", "type": f"{type}/", "instance": f"{type}/a/"}[level]
            yield "POST", f"{place}${row.code}"


def test_the_routes_are_all() -> None:
    found = {
        route(method, path.partition("?")[0], packaged()).interaction
        for method, path in FHIR_ROUTES
    }
    bundles = {"batch", "transaction"} if BUNDLE in found else set()
    without = {"capabilities"}  # which is for everybody
    assert (found - {BUNDLE}) | bundles | without == set(INTERACTIONS)


@pytest.mark.check("SEC-5")
async def test_an_expired_token_opens_none(world: World) -> None:
    user = await world.user(roles=("admin",))
    token = (await world.tokens(await world.client(), user))["access_token"]
    sent: dict[str, Any] = {
        "headers": {"Authorization": f"Bearer {token}"},
        "json": {"resourceType": "Bundle", "type": "batch"},
    }
    routes = [(method, f"/fhir/{path}") for method, path in (*FHIR_ROUTES, *operations())]
    routes += OTHER_ROUTES
    assert await world.is_let_in(token)
    world.clock.move(901)
    opened = []
    for method, path in routes:
        answer = await world.http.request(method, path, **sent)
        if answer.status_code != 401 or b"invalid_token" not in (
            answer.headers.get("www-authenticate", "").encode() + answer.content
        ):
            opened.append((method, path, answer.status_code))
    assert opened == []
    asked = await world.http.post(
        "/auth/introspect", data={"token": token}, headers=sent["headers"]
    )
    assert asked.status_code == 401
