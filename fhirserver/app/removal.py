"""What a tenant leaves behind, and how nothing is left of it."""

from __future__ import annotations

import asyncio
import os
import shutil
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from fhirserver.app.imaging import remove_blobs
from fhirserver.app.open_tenants import FRESH
from fhirserver.app.opening import whole_store
from fhirserver.app.stores import open_inner
from fhirserver.app.tenants import Tenant, TenantTable, tenant_folder
from fhirserver.durable import make_durable
from fhirserver.export import write
from fhirserver.imaging.dimse.peers import CalledTitles
from fhirserver.settings import Settings
from fhirserver.store.records import MAX_LISTED, Records
from fhirserver.store.sealed.keys import shred

BELONGING: Final = (
    "access.break-glass",
    "access.policy",
    "auth.client",
    "identity.account",
    "identity.link",
    "identity.name",
)
"""Collections of records that are exported: what lasts, and lets nobody in by itself."""

_NOTICED: Final = 3 * FRESH
"""Seconds after which every worker has seen that a tenant is to go."""

_ROUNDS: Final = 5


async def export_tenant(
    settings: Settings, folder: Path, told: Callable[[int], None] = lambda _: None
) -> int:
    """Writes all versions, and the records that belong to the tenant, into an empty folder.

    `settings` are the tenant's. The number of versions. Raises `FileExistsError`.
    """
    write.empty(folder)
    async with whole_store(settings) as store:
        manifest = await write.export(store, folder / "resources", write.Export(history=True), told)
        descriptor = os.open(folder / "records.ndjson", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for collection in BELONGING:
                file.writelines(await _lines(store.records, collection))
            file.flush()
            os.fsync(descriptor)
    return sum(file.count for file in manifest.files)


async def _lines(records: Records, collection: str) -> list[bytes]:
    """A line for each record of a collection: its collection, key, expiry and body."""
    lines = []
    after = ""
    while True:
        found = await records.list(collection, after=after)
        for record in found:
            told = {
                "collection": collection,
                "key": record.key,
                "expires": record.expires,
                "body": _value(record.body),
            }
            lines.append(msgspec.json.encode(told) + b"\n")
        if len(found) < MAX_LISTED:
            return lines
        after = found[-1].key


def _value(body: bytes) -> msgspec.Raw | dict[str, str]:
    """A body as JSON where it is that."""
    try:
        return msgspec.json.decode(body, type=msgspec.Raw)
    except msgspec.DecodeError:
        return {"base64": b64encode(body).decode()}


async def remove_tenant(settings: Settings, name: str) -> None:
    """Destroys what there is of a tenant: keys first, then the rest. Broken off, it can be called
    again.

    `settings` are the server's. Raises `NotFound` and `Conflict`.
    """
    async with whole_store(settings) as store:
        table = TenantTable(store.records)
        await table.to_state(name, "deleting", "active", "suspended", "deleting")
        titles = CalledTitles(store.records)
        for title, tenant in await titles.all():
            if tenant == name:
                await titles.remove(title)
        await asyncio.sleep(_NOTICED)
        place: dict[str, Any] = {"data": tenant_folder(settings.data, name)}
        if not settings.is_mongodb:
            place["store"] = ""
        await shred_keys(replace(settings, tenant=name, **place))  # whether or not its own ones fit
        if settings.is_mongodb:
            await _remove_documents(settings, name)
        folder = tenant_folder(settings.data, name)
        if settings.blobs:  # else they lie in the tenant's folder
            await remove_blobs(replace(settings, tenant=name, **place))
        if folder.exists():
            await asyncio.to_thread(_remove_folder, folder)

        def emptied(tenant: Tenant) -> Tenant:
            return Tenant(name, tenant.created, state="deleted")

        await table.change(name, emptied)


async def shred_keys(settings: Settings) -> None:
    """Destroys the keys of a tenant's store, if it is sealed: nobody can read it any more."""
    if settings.encryption == "off" or not (settings.is_mongodb or settings.database.exists()):
        return
    store = await open_inner(settings)
    try:
        await shred(store.records, settings.tenant)
    finally:
        await store.close()


async def _remove_documents(settings: Settings, name: str) -> None:
    """Removes what MongoDB has of it, again while a writer that was late adds something."""
    from fhirserver.store.mongo.removal import remove

    for _ in range(_ROUNDS):
        if not await remove(settings.store, name):
            return
        await asyncio.sleep(FRESH)


def _remove_folder(folder: Path) -> None:
    """Keys go first, and are gone from the disk before anything else is."""
    for path in sorted(folder.glob("*.key")):
        path.unlink()
    make_durable(folder)
    shutil.rmtree(folder)
