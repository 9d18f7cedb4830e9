"""Which archive there is, by what the server is set to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fhirserver.archive.port import Archive
from fhirserver.archive.veil import Clear, Sealed, Veil
from fhirserver.blobs.keys import ContentKeys


async def open_archive(
    place: Path | str,
    *,
    tenant: str,
    clock: Callable[[], int],
    keys: ContentKeys | None = None,
    patience: float = 10.0,
) -> Archive:
    """The archive of a tenant: in a SQLite file (a path), or in MongoDB (the URL of the store).

    With `keys`, what it holds is sealed. `clock` gives microseconds since 1970; a search may take
    `patience` seconds. Raises `Unavailable`.
    """
    veil: Veil = Clear() if keys is None else Sealed(tenant, keys)
    if isinstance(place, Path):
        from fhirserver.archive.sqlite import SqliteArchive

        return SqliteArchive.open(place, clock=clock, veil=veil, patience=patience)
    from fhirserver.archive.mongo import MongoArchive

    return MongoArchive(place, tenant=tenant, clock=clock, veil=veil, patience=patience)
