"""What a tenant keeps DICOM instances in: its archive and its blobs."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from fhirserver.app.ids import now
from fhirserver.archive.opening import open_archive
from fhirserver.archive.port import Archive
from fhirserver.blobs.keys import content_keys
from fhirserver.blobs.port import Blobs
from fhirserver.blobs.store import open_blobs
from fhirserver.settings import DEFAULT_TENANT, Settings
from fhirserver.store.port import ServerStore

_FILE: Final = "file://"


class Imaging(NamedTuple):
    """`archive` is the index of the instances, `blobs` holds their bytes."""

    archive: Archive
    blobs: Blobs

    async def close(self) -> None:
        await self.archive.close()
        await self.blobs.close()


async def open_imaging(settings: Settings, store: ServerStore) -> Imaging | None:
    """Those of the settings' tenant; with encryption, both are sealed by keys that `store` keeps.

    None where the store has no archive beside it. Raises `Unavailable`.
    """
    if settings.is_mongodb:
        return None
    keys = None
    if settings.encryption == "on":
        keys = await content_keys(store.records, settings.tenant)
    url = _blobs(settings)
    if url.startswith(_FILE):
        spool = Path(url.removeprefix(_FILE)) / "spool"
    else:
        spool = settings.data / "spool"
    archive = await open_archive(
        settings.data / "imaging.db",
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


def _blobs(settings: Settings) -> str:
    """Where the tenant's blobs are: tenants beside the default one have a place of their own."""
    if not settings.blobs:
        return f"{_FILE}{settings.data.absolute() / 'blobs'}"
    if settings.tenant == DEFAULT_TENANT:
        return settings.blobs
    return f"{settings.blobs.rstrip('/')}/tenants/{settings.tenant}"
