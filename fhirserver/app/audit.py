"""The audit trail of the settings: whether there is one, its key, and what writes to it."""

from __future__ import annotations

from fhirserver.app.ids import now
from fhirserver.app.keys import audit_key
from fhirserver.audit.chain import TYPE
from fhirserver.audit.checkpoint import Checkpoints
from fhirserver.audit.event import KEPT
from fhirserver.audit.segment import Segments
from fhirserver.audit.trail import Trail
from fhirserver.definitions.packaged import packaged
from fhirserver.definitions.registry import Definitions
from fhirserver.search.index import Indexer
from fhirserver.settings import Settings
from fhirserver.store.port import ServerStore

TENANT = "default"
"""The tenant of the addresses that name none."""


def definitions_of(settings: Settings) -> Definitions:
    """The packaged definitions; with a trail, AuditEvents are indexed by little."""
    return packaged().narrowed(TYPE, KEPT) if settings.audits else packaged()


def key_of(settings: Settings) -> bytes:
    """The audit key. Raises `NotRunnable` for a damaged one."""
    return audit_key(settings.audit_key or settings.data / "audit.key")


def checkpoints_of(settings: Settings, store: ServerStore) -> Checkpoints:
    """The checkpoints of the store's trail, with their copies in the data folder."""
    return Checkpoints(store.records, key_of(settings), settings.data / "audit")


def segments_of(settings: Settings, store: ServerStore) -> Segments:
    """What is recorded and not filed yet."""
    return Segments(store, store.records, Indexer(definitions_of(settings)).entries)


def trail_of(settings: Settings, store: ServerStore, tenant: str = TENANT) -> Trail:
    """What records for a tenant. Nothing is written before the first event."""
    checkpoints = checkpoints_of(settings, store)
    return Trail(segments_of(settings, store), checkpoints, key_of(settings), tenant, now)
