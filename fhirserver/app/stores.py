"""Which store the settings name. What seals or counts a whole store wraps it here."""

from __future__ import annotations

from fhirserver.app.errors import NotRunnable
from fhirserver.app.ids import now
from fhirserver.definitions.packaged import packaged
from fhirserver.search.index import Indexer
from fhirserver.settings import Settings
from fhirserver.store.port import ServerStore
from fhirserver.store.sealed import check_plain, master_of, open_sealed
from fhirserver.store.sqlite import SqliteStore


async def open_store(settings: Settings) -> ServerStore:
    """The tenant's store of the settings, and its folder. Raises `Unavailable`, `NotRunnable`."""
    return await sealed_by(settings, await open_inner(settings))


async def sealed_by(settings: Settings, inner: ServerStore) -> ServerStore:
    """The tenant's store over what `open_inner` gave, which is closed where that fails."""
    try:
        if settings.encryption == "off":
            await check_plain(inner)
            return inner
        master = master_of(settings.encryption_key)
        return await open_sealed(
            inner,
            master,
            tenant=settings.tenant,
            clock=now,
            fields=settings.encryption_fields,
            indexer=Indexer(packaged()),
        )
    except BaseException:
        await inner.close()
        raise


async def open_inner(settings: Settings) -> ServerStore:
    """The same without what seals it: for the care of its keys."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not settings.is_mongodb:
        return SqliteStore.open(settings.database, clock=now, patience=settings.search_seconds)
    try:
        from fhirserver.store.mongo import MongoStore
    except ImportError as error:
        raise NotRunnable("MongoDB needs its driver: pip install 'fhirserver[mongodb]'") from error
    return await MongoStore.open(
        settings.store, clock=now, tenant=settings.tenant, patience=settings.search_seconds
    )
