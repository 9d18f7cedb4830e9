"""What a tenant keeps DICOM instances in: its archive and its blobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

from fhirserver.app.ids import now
from fhirserver.app.stores import open_store
from fhirserver.archive.opening import open_archive
from fhirserver.archive.orphans import Mended, Orphans, find_orphans, mend
from fhirserver.archive.port import Archive
from fhirserver.blobs.keys import content_keys
from fhirserver.blobs.port import Blobs
from fhirserver.blobs.store import open_blobs
from fhirserver.settings import DEFAULT_TENANT, Settings
from fhirserver.store.port import ServerStore

ARCHIVE: Final = "imaging.db"
"""The name of the archive's file in a tenant's folder."""

_FILE: Final = "file://"


class Imaging(NamedTuple):
    """`archive` is the index of the instances, `blobs` holds their bytes."""

    archive: Archive
    blobs: Blobs

    async def close(self) -> None:
        await self.archive.close()
        await self.blobs.close()


async def open_imaging(settings: Settings, store: ServerStore) -> Imaging:
    """Those of the settings' tenant; with encryption, both are sealed by keys that `store` keeps.

    Raises `Unavailable`.
    """
    keys = None
    if settings.encryption == "on":
        keys = await content_keys(store.records, settings.tenant)
    url = _blobs(settings)
    if url.startswith(_FILE):
        spool = Path(url.removeprefix(_FILE)) / "spool"
    else:
        spool = settings.data / "spool"
    archive = await open_archive(
        settings.store if settings.is_mongodb else settings.data / ARCHIVE,
        tenant=settings.tenant,
        clock=now,
        keys=keys,
        patience=settings.search_seconds,
    )
    try:
        return Imaging(archive, open_blobs(url, spool, keys))
    except BaseException:
        await archive.close()
        raise


def has_archive(settings: Settings) -> bool:
    """Whether there is one yet: it is made when the server first starts."""
    return settings.is_mongodb or (settings.data / ARCHIVE).exists()


def blob_folder(settings: Settings) -> Path | None:
    """The folder of the blobs; None where they are in object storage."""
    url = _blobs(settings)
    return Path(url.removeprefix(_FILE)) if url.startswith(_FILE) else None


async def examined(settings: Settings) -> tuple[Orphans, tuple[int, int, int]]:
    """What writes that were broken off left, and the numbers of studies, series and instances."""
    async with _opened(settings) as imaging:
        orphans = await find_orphans(imaging.archive, imaging.blobs)
        return orphans, await imaging.archive.count()


async def mended(settings: Settings) -> Mended:
    """Takes that away; a server may be running meanwhile. Raises `Unavailable`."""
    async with _opened(settings) as imaging:
        orphans = await find_orphans(imaging.archive, imaging.blobs)
        return await mend(imaging.archive, imaging.blobs, orphans)


async def remove_blobs(settings: Settings) -> int:
    """Removes all blobs of a tenant, sealed or not; how many they were. Raises `Unavailable`."""
    blobs = open_blobs(_blobs(settings), settings.data / "spool")
    number = 0
    try:
        async for blob in blobs.list():
            await blobs.remove(blob.name)
            number += 1
    finally:
        await blobs.close()
    return number


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Imaging]:
    store = await open_store(settings)
    try:
        imaging = await open_imaging(settings, store)
        try:
            yield imaging
        finally:
            await imaging.close()
    finally:
        await store.close()


def _blobs(settings: Settings) -> str:
    """Where the tenant's blobs are: tenants beside the default one have a place of their own."""
    if not settings.blobs:
        return f"{_FILE}{settings.data.absolute() / 'blobs'}"
    if settings.tenant == DEFAULT_TENANT:
        return settings.blobs
    return f"{settings.blobs.rstrip('/')}/tenants/{settings.tenant}"
