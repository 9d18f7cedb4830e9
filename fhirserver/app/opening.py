"""What commands open that need no HTTP: the gate, the jobs, the store of the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from fhirserver.access.authority import Authority
from fhirserver.app.audit import definitions_of, recorded, trail_of
from fhirserver.app.ids import new_id, now
from fhirserver.app.imaging import Imaging
from fhirserver.app.running import Running, open_running
from fhirserver.app.stores import open_store
from fhirserver.app.tenants import TenantTable
from fhirserver.audit.recorder import NotRecorded, Recorder
from fhirserver.errors import NotFound, NotSupported
from fhirserver.imaging.dimse.peers import CalledTitles, Peers
from fhirserver.imaging.projection.projector import Projector
from fhirserver.indexing.registry import Known, Registry
from fhirserver.interactions.accesses import Tallied
from fhirserver.interactions.request import Answer, Request
from fhirserver.jobs.job import Job
from fhirserver.jobs.table import JobTable
from fhirserver.settings import Settings
from fhirserver.store.port import ServerStore

if TYPE_CHECKING:
    from fhirserver.auth.clients import Clients
    from fhirserver.auth.signing_keys import SigningKeys
    from fhirserver.identity.identity import Identity


@asynccontextmanager
async def open_gate(
    settings: Settings,
) -> AsyncIterator[Callable[[Request], Awaitable[Answer]]]:
    """The gate's dispatch over the store of the settings, for commands that need no HTTP.

    The audit trail has two events about the command, however much it does.
    """
    tallied = Tallied()
    running = await open_running(settings, tallied)
    try:
        async with recorded(settings, running.store, "import", tallied.written):
            yield running.dispatch
    finally:
        await running.close()


class ImagingGate(NamedTuple):
    """`base` is the service base URL as far as it is known; `projector` is not started."""

    dispatch: Callable[[Request], Awaitable[Answer]]
    imaging: Imaging
    projector: Projector
    base: str


@asynccontextmanager
async def open_imaging_gate(settings: Settings) -> AsyncIterator[ImagingGate]:
    """The gate with archive and blobs, for commands that bring DICOM instances.

    The audit trail has two events about the command. Raises `NotSupported` where the store has
    no archive.
    """
    tallied = Tallied()
    running = await open_running(settings, tallied)
    try:
        projector = await running.projector()
        if running.imaging is None or projector is None:
            raise NotSupported("No DICOM instances are kept beside this store.")
        async with recorded(settings, running.store, "import", tallied.written):
            yield ImagingGate(running.dispatch, running.imaging, projector, await running.base())
    finally:
        await running.close()


@asynccontextmanager
async def open_peers(settings: Settings) -> AsyncIterator[tuple[Peers, Recorder]]:
    """The DICOM peers of the settings' tenant, and what changes to them are recorded with."""
    async with _recorded(settings) as (store, recorder):
        yield Peers(store.records, now=now), recorder


@asynccontextmanager
async def open_titles(settings: Settings) -> AsyncIterator[tuple[CalledTitles, Recorder]]:
    """The AE titles by which tenants are called, and what changes to them are recorded with.

    `settings` are the server's.
    """
    async with _recorded(settings) as (store, recorder):
        yield CalledTitles(store.records), recorder


@asynccontextmanager
async def open_jobs(settings: Settings) -> AsyncIterator[Running]:
    """What runs on the store of the settings, jobs included, for commands that wait for one."""
    running = await open_running(settings, Tallied())
    try:
        await running.start(await running.base())
        yield running
    finally:
        await running.close()


async def index_state(settings: Settings) -> tuple[Known, list[Job]]:
    """How far the store of the settings is indexed, and its unfinished jobs; nothing is written."""
    store = await open_store(settings)
    try:
        jobs = JobTable(store.records, now=now, new_id=new_id)
        registry = Registry(
            store, store.records, jobs, definitions_of(settings), settings.full_text, observes=True
        )
        return await registry.refresh(), [held.job async for held in jobs.unfinished()]
    finally:
        await store.close()


class AuthorizationRecords(NamedTuple):
    """What commands change of a tenant's authorization server."""

    clients: Clients
    signing_keys: SigningKeys


@asynccontextmanager
async def open_authorization(
    settings: Settings,
) -> AsyncIterator[tuple[AuthorizationRecords, Recorder]]:
    """The clients and signing keys of the settings' tenant, and what changes to them are recorded
    with."""
    from fhirserver.auth.clients import Clients
    from fhirserver.auth.signing_keys import SigningKeys

    async with _recorded(settings) as (store, recorder):
        clients = Clients(store.records, now=now)
        yield AuthorizationRecords(clients, SigningKeys(store.records, now=now)), recorder


@asynccontextmanager
async def open_identity(settings: Settings) -> AsyncIterator[tuple[Identity, Recorder]]:
    """The accounts of the settings' tenant, and what changes to them are recorded with."""
    from fhirserver.app.identity import identity_of

    async with _recorded(settings) as (store, recorder):
        yield identity_of(settings, store), recorder


@asynccontextmanager
async def open_authority(settings: Settings) -> AsyncIterator[tuple[Authority, Recorder]]:
    """The policies of the settings' tenant, and what changes to them are recorded with."""
    async with _recorded(settings) as (store, recorder):
        authority = Authority(store, store.records, now)
        await authority.load()
        yield authority, recorder


@asynccontextmanager
async def open_recorder(settings: Settings) -> AsyncIterator[Recorder]:
    """What commands record with that concern the whole server, or a whole store."""
    async with _recorded(settings) as (_, recorder):
        yield recorder


@asynccontextmanager
async def _recorded(settings: Settings) -> AsyncIterator[tuple[ServerStore, Recorder]]:
    """The store of the settings' tenant, and what changes to it are recorded with."""
    store = await open_store(settings)
    trail = trail_of(settings, store) if settings.audits else None
    try:
        yield store, trail or NotRecorded()
    finally:
        if trail is not None:
            await trail.close()
        await store.close()


@asynccontextmanager
async def whole_store(settings: Settings) -> AsyncIterator[ServerStore]:
    """The store itself, for commands that move all of it and answer nobody's request."""
    store = await open_store(settings)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def tenant_table(settings: Settings) -> AsyncIterator[TenantTable]:
    """The table of tenants beside the default one."""
    async with whole_store(settings) as store:
        yield TenantTable(store.records)


async def tenant_settings(settings: Settings, name: str) -> Settings:
    """The settings of a tenant, also of a suspended one. Raises `NotFound`, `ValueError`."""
    async with tenant_table(settings) as table:
        held = await table.get(name)
    if held is None or held.tenant.state in ("deleting", "deleted"):
        raise NotFound(f"There is no tenant '{name}'.")
    return held.tenant.settings_by(settings)
