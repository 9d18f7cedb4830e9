"""The audit trail of the settings: whether there is one, its key, and what writes to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from getpass import getuser

from fhirserver.app.ids import now
from fhirserver.app.keys import audit_key
from fhirserver.app.tenants import server_folder
from fhirserver.audit.bell import Bell, bell_of
from fhirserver.audit.chain import TYPE
from fhirserver.audit.checkpoint import Checkpoints
from fhirserver.audit.entries import KEPT
from fhirserver.audit.handover import Handover
from fhirserver.audit.journal import FOLDER, Journal
from fhirserver.audit.notes import Notes
from fhirserver.audit.recorder import Event
from fhirserver.audit.segment import Segments
from fhirserver.audit.shelf import RecordShelf, Shelf
from fhirserver.audit.trail import Trail
from fhirserver.audit.verify import Verification
from fhirserver.definitions.packaged import packaged
from fhirserver.definitions.registry import Definitions
from fhirserver.settings import Settings
from fhirserver.store.port import ServerStore


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
    return Segments(store, _shelf_of(settings, store), key_of(settings))


def journal_of(settings: Settings) -> Journal | None:
    """The tenant's journal; None where processes on other machines have the records only."""
    return None if settings.is_mongodb else Journal(settings.data / "audit" / FOLDER)


def _shelf_of(settings: Settings, store: ServerStore) -> Shelf:
    return journal_of(settings) or RecordShelf(store.records)


def trail_of(settings: Settings, store: ServerStore) -> Trail:
    """What records for the tenant. Nothing is written before the first event."""
    checkpoints, key = checkpoints_of(settings, store), key_of(settings)
    journal = journal_of(settings)
    if journal is None:
        segments = segments_of(settings, store)
        return Trail(segments, checkpoints, key, settings.tenant, now)
    handover = Handover(journal, Bell(bell_of(server_folder(settings)), settings.tenant))
    segments = Segments(store, journal, key)
    return Trail(segments, checkpoints, key, settings.tenant, now, handover=handover)


def notes_of(settings: Settings, store: ServerStore) -> Notes:
    """What is kept with commits until they are on record."""
    return Notes(store, key_of(settings), settings.tenant)


def verification_of(settings: Settings, store: ServerStore) -> Verification:
    """What finds out whether the tenant's trail is whole."""
    segments, checkpoints = segments_of(settings, store), checkpoints_of(settings, store)
    return Verification(store, segments, checkpoints, key_of(settings), settings.tenant)


def operator() -> str:
    """Who runs a command, as the operating system knows them."""
    try:
        return f"os:{getuser()}"
    except (KeyError, OSError):
        return "os:unknown"


@asynccontextmanager
async def recorded(
    settings: Settings, store: ServerStore, kind: str, counts: Mapping[str, int]
) -> AsyncIterator[None]:
    """What a command does to a store, recorded before it begins and, with counts, when it ends.

    `counts` are filled meanwhile. Nothing is recorded where there is no trail.
    """
    if not settings.audits:
        yield
        return
    trail = trail_of(settings, store)
    await trail.record(Event(kind, account=operator(), detail=(("state", "begun"),)))
    try:
        yield
    finally:
        told = tuple((name, str(count)) for name, count in sorted(counts.items()))
        await trail.record(Event(kind, account=operator(), detail=(("state", "ended"), *told)))
        await trail.close()
