"""Bundles to send, and what comes of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from interactions.client import BASE, Client

from fhirserver.access.grant import OPEN
from fhirserver.interactions.request import Request
from fhirserver.model.json import Json, Resource, decode


def quick_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for a store that is made and dropped many times: in memory where that can be."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)


def entry(
    method: str,
    url: str,
    resource: Resource | None = None,
    full_url: str | None = None,
    **request: str,
) -> Resource:
    """An entry; `request` are further properties of its request (`ifMatch` and so on)."""
    out: Resource = {} if full_url is None else {"fullUrl": full_url}
    if resource is not None:
        out["resource"] = resource
    return out | {"request": {"method": method, "url": url, **request}}


def transaction(*entries: Json) -> Resource:
    return _bundle("transaction", entries)


def batch(*entries: Json) -> Resource:
    return _bundle("batch", entries)


def _bundle(type: str, entries: tuple[Json, ...]) -> Resource:
    out: Resource = {"resourceType": "Bundle", "type": type}
    return out | {"entry": list(entries)} if entries else out


async def send(client: Client, bundle: Resource, **more: Any) -> list[Resource]:
    """The entries of the response to a batch or transaction. Raises what the gate raises."""
    answer = await client.gate.dispatch(
        Request(bundle["type"], BASE, resource=bundle, **{"grant": OPEN} | more)
    )
    assert answer.status == 200
    assert answer.body is not None
    response = decode(answer.body)
    assert response["type"] == f"{bundle['type']}-response"
    entries: list[Resource] = response.get("entry", [])
    assert len(entries) == len(bundle.get("entry", []))
    return entries


def statuses(entries: list[Resource]) -> list[str]:
    """The numbers of the responses."""
    return [item["response"]["status"][:3] for item in entries]


def address(item: Resource) -> str:
    """`Type/id` of what a response entry is about."""
    location: str = item["response"]["location"]
    return location.partition("/_history/")[0]
