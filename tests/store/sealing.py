"""Sealed stores for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from fhirserver.store.port import ServerStore
from fhirserver.store.sealed import SealedStore, open_sealed
from fhirserver.store.sealed.master import OwnMaster

MASTER = OwnMaster(bytes(range(32)))
TENANT = "default"


async def sealed(
    inner: ServerStore, clock: Callable[[], int], fields: Iterable[str] = ()
) -> SealedStore:
    """The store, sealed under the master key of the tests."""
    return await open_sealed(inner, MASTER, tenant=TENANT, clock=clock, fields=fields)
