"""A tenant's server with an audit trail, over a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import stores

from fhirserver.access.grant import Grant
from fhirserver.access.principal import Principal
from fhirserver.app.audit import checkpoints_of, key_of, segments_of
from fhirserver.app.running import Running
from fhirserver.app.stores import open_store
from fhirserver.audit.recorder import Origin
from fhirserver.audit.verify import Verification, Verified
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Resource, decode
from fhirserver.settings import DEFAULT_TENANT as TENANT
from fhirserver.settings import Settings

BASE = "http://example.org/fhir"
DOCTOR = Principal(
    "account-1",
    TENANT,
    ("doctor",),
    fhir_user="Practitioner/d1",
    name="Dr. Example",
)
ORIGIN = Origin("192.0.2.7", "example.org", "req-1")


class World:
    """Asks the gate as a doctor, and reads the trail as the store has it."""

    def __init__(self, settings: Settings, running: Running) -> None:
        self.settings = settings
        self.running = running
        self.grant = Grant(DOCTOR.subject, unrestricted=True, principal=DOCTOR)

    async def ask(self, interaction: str, type: str | None = None, **more: Any) -> Answer:
        more = {"grant": self.grant, "origin": ORIGIN, **more}
        return await self.running.dispatch(Request(interaction, BASE, type, **more))

    async def put(self, resource: Resource) -> None:
        await self.ask("update", resource["resourceType"], id=resource["id"], resource=resource)

    async def events(self) -> list[Resource]:
        """All that was recorded, oldest first, without what begins a lane."""
        await self.running._trail.settle()  # type: ignore[union-attr]
        found = [version async for version in self.running.store.scan("AuditEvent")]
        events = sorted((decode(item.body or b"") for item in found), key=lambda item: item["id"])
        return [item for item in events if item["type"]["code"] != "110100"]

    async def new_events(self, do: Callable[[], Any]) -> list[Resource]:
        """What doing something recorded."""
        before = {item["id"] for item in await self.events()}
        await do()
        return [item for item in await self.events() if item["id"] not in before]

    async def verified(self) -> Verified:
        return await verified(self.settings, self.running)


async def verified(settings: Settings, running: Running) -> Verified:
    verification = Verification(
        running.store,
        segments_of(settings, running.store),
        checkpoints_of(settings, running.store),
        key_of(settings),
        TENANT,
    )
    return await verification.run()


@asynccontextmanager
async def opened(data: Path, **more: Any) -> AsyncIterator[World]:
    url = stores.url_of(data)
    if url:
        more["store"] = url
    settings = Settings(auth="none", data=data, **{"audit": "on"} | more)
    running = Running(settings, await open_store(settings))
    try:
        await running.start(BASE)
        yield World(settings, running)
    finally:
        await running.close()


@pytest.fixture
async def world(tmp_path: Path, each_store: str) -> AsyncIterator[World]:
    async with opened(tmp_path) as world:
        yield world


def patient(id: str, **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": id, **more}


def observation(id: str, of: str, **more: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"text": "pulse"},
        "subject": {"reference": f"Patient/{of}"},
        **more,
    }


def about(event: Resource) -> list[str]:
    """The references of an event's entities."""
    return [
        item["what"]["reference"]
        for item in event.get("entity", ())
        if "reference" in item.get("what", {})
    ]
