"""Servers on one data folder, and the search parameters that tests add to them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2

FHIR = {"content-type": "application/fhir+json"}
URL = "http://example.org/SearchParameter/"
EYE = "http://example.org/eye-colour"


def parameter(code: str, type: str, expression: str, *base: str, **more: Any) -> dict[str, Any]:
    """An active SearchParameter, with the code as its id."""
    return {
        "resourceType": "SearchParameter",
        "id": code,
        "url": f"{URL}{code}",
        "name": code.replace("-", ""),
        "status": "active",
        "description": "A test's own.",
        "code": code,
        "base": list(base or ("Patient",)),
        "type": type,
        "expression": expression,
        **more,
    }


EYES = parameter("eye-colour", "token", f"Patient.extension('{EYE}').value")


def patient(id: str, colour: str | None = None, **more: Any) -> dict[str, Any]:
    """A patient, with the colour of the eyes in an extension."""
    eyes = [{"url": EYE, "valueCode": colour}] if colour else []
    return {"resourceType": "Patient", "id": id, **({"extension": eyes} if eyes else {}), **more}


async def put(client: httpx2.AsyncClient, *resources: dict[str, Any]) -> None:
    """Writes resources under their ids."""
    for resource in resources:
        answer = await client.put(
            f"/fhir/{resource['resourceType']}/{resource['id']}", json=resource, headers=FHIR
        )
        assert answer.status_code in (200, 201), answer.text


async def found(client: httpx2.AsyncClient, query: str) -> list[str]:
    """The ids that a search finds; it must be answered."""
    answer = await client.get(f"/fhir/{query}")
    assert answer.status_code == 200, answer.text
    return [entry["resource"]["id"] for entry in answer.json().get("entry", ())]


async def when_indexed(client: httpx2.AsyncClient, query: str) -> list[str]:
    """The ids that a search finds as soon as it is answered; until then it is refused so."""
    async with asyncio.timeout(200):
        while True:
            answer = await client.get(f"/fhir/{query}")
            if answer.status_code != 503:
                return await found(client, query)
            (issue,) = answer.json()["issue"]
            assert issue["code"] == "incomplete"
            assert answer.headers["retry-after"]
            await asyncio.sleep(0.05)
