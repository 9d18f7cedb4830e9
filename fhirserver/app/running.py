"""What lasts from start to shutdown, for one tenant: its store, gate, jobs and edges.

Nothing here is shared with another tenant but the packaged definitions.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from fhirserver.access.authority import Authority
from fhirserver.app.audit import definitions_of, notes_of, trail_of
from fhirserver.app.edge import FHIR_PATH, edge_of, local_base, policy_of
from fhirserver.app.ids import new_id, now, request_ids
from fhirserver.app.imaging import Imaging, open_imaging
from fhirserver.app.keys import sealing_key
from fhirserver.app.mounts import Mounts
from fhirserver.app.projection import PseudonymKey, projector_of
from fhirserver.app.sample import PATH, SampleApp
from fhirserver.app.stores import open_store
from fhirserver.audit.patients import Patients
from fhirserver.audit.recorder import NotRecorded, Recorder
from fhirserver.audit.recovery import Recovery
from fhirserver.auth.addresses import AUTH
from fhirserver.imaging.projection.projector import Projector
from fhirserver.imaging.rendering.processes import Processes
from fhirserver.indexing.marks import read_marks
from fhirserver.indexing.registry import REINDEX, Registry
from fhirserver.indexing.reindex import Reindexing
from fhirserver.interactions.accesses import Accesses, Tallied
from fhirserver.interactions.context import Context
from fhirserver.interactions.dispatch import Gate
from fhirserver.interactions.seal import AesSealer
from fhirserver.jobs.resealing import RESEAL, Resealing
from fhirserver.jobs.runner import Runner
from fhirserver.jobs.table import JobTable
from fhirserver.jobs.task import Work
from fhirserver.operations.imaging.table import IMAGING_ROWS
from fhirserver.operations.table import offered
from fhirserver.rest.application import Authenticate, Edge, FhirApplication
from fhirserver.search.index import Indexer
from fhirserver.settings import Settings
from fhirserver.store.concepts import NO_CONCEPTS
from fhirserver.store.port import ServerStore
from fhirserver.store.sealed import SealedStore

if TYPE_CHECKING:
    from fhirserver.app.authorization import Authorization


class Running:
    """One tenant's server. `settings` are the tenant's (`settings.tenant`, `settings.root`).

    `store` and `imaging` are its alone, and closed with it; without `imaging` it keeps no DICOM
    instances. `tallied` counts what a command does, instead of an event for each access.
    `pictures` are the processes that draw; without them, it has some of its own.
    `dispatch` is its gate's, `mounts` are its edges by the first part of the path.
    """

    def __init__(
        self,
        settings: Settings,
        store: ServerStore,
        tallied: Tallied | None = None,
        imaging: Imaging | None = None,
        pictures: Processes | None = None,
    ) -> None:
        self._settings = settings
        self.imaging = imaging
        self._pictures = pictures
        self._projector: Projector | None = None
        self.tenant = settings.tenant
        self.root = settings.root
        self.is_open = settings.auth == "none"
        self.has_sample_app = settings.sample_app and not self.is_open
        self.authorization: Authorization | None = None
        self.store = store
        self.definitions = definitions_of(settings)
        self._do_jobs()
        self._trail = trail_of(settings, store) if settings.audits else None
        self._recovery: Recovery | None = None
        self._tallied = tallied if settings.audits else None
        self.recorder: Recorder = self._trail or NotRecorded()
        self.access = Authority(store, store.records, now)
        self._set_up_gate()
        self._mount_edges()

    def _do_jobs(self) -> None:
        """The jobs, and the registry, which starts some. A kind of job is a row of `kinds`."""
        settings, store = self._settings, self.store
        self.jobs = JobTable(store.records, now=now, new_id=new_id)
        self.registry = Registry(
            store,
            store.records,
            self.jobs,
            self.definitions,
            settings.full_text,
            fixed=settings.base_url or "",
        )
        kinds: dict[str, Work] = {
            REINDEX: Reindexing(store, store.records, self.registry, settings.full_text)
        }
        if isinstance(store, SealedStore):
            kinds[RESEAL] = Resealing(store)
        self.runner = Runner(self.jobs, kinds, owner=secrets.token_hex(8), share=settings.job_share)

    def _set_up_gate(self) -> None:
        settings, store = self._settings, self.store
        indexer = Indexer(self.definitions, settings.full_text)
        context = Context(
            store=store,
            definitions=self.definitions,
            indexer=indexer,
            policy=policy_of(settings),
            sealer=AesSealer(sealing_key(settings.data), now=now, random=secrets.token_bytes),
            now=now,
            new_id=new_id,
            concepts=store.concepts,
            jobs=self.jobs,
            access=self.access,
            recorder=self.recorder,
            archive=self.imaging.archive if self.imaging else None,
            blobs=self.imaging.blobs if self.imaging else None,
            pseudonyms=PseudonymKey(store.records) if self.imaging else None,
        )
        operations = offered(
            expunges=settings.expunge,
            terminology=store.concepts is not NO_CONCEPTS,
            emergencies=not self.is_open,
            imaging=self.imaging is not None,
        )
        accesses: Accesses | Tallied | None = self._tallied
        if accesses is None and self._trail is not None:
            patients = Patients(self.definitions, indexer)
            notes = notes_of(settings, store)
            accesses = Accesses(self._trail, patients, now, notes)
            self._recovery = Recovery(store, self._trail, notes, patients, now)
        imaging = IMAGING_ROWS if self.imaging else ()
        self.dispatch = Gate(context, operations, self.registry, accesses, imaging).dispatch

    def _mount_edges(self) -> None:
        """The table of edges. Who calls is found out by them, at the authorization server."""
        edge = edge_of(self._settings)
        self.base_url = edge.base_url
        self.mounts = Mounts(self._settings.root)
        if self.is_open:
            fhir = FhirApplication(self.dispatch, self.definitions, edge, request_ids())
            self.mounts.add(FHIR_PATH, fhir)
            self._mount_dicom_web(edge)
            return
        # Not of an open server, which has 12 MB less without.
        from fhirserver.app.authorization import Authorization

        authorization = Authorization(
            self._settings,
            self.store,
            edge.base_url,
            tenant=self.tenant,
            dispatch=self.dispatch,
            definitions=self.definitions,
            access=self.access,
            recorder=self.recorder,
        )
        fhir = FhirApplication(
            self.dispatch, self.definitions, edge, request_ids(), authorization.authenticate
        )
        self.authorization = authorization
        self.mounts.add(FHIR_PATH, authorization.around(fhir))
        self.mounts.add_tree(AUTH, authorization.edge)
        self._mount_dicom_web(edge, authorization.authenticate)
        if self.has_sample_app:
            self.mounts.add(PATH, SampleApp(self.root))

    def _mount_dicom_web(self, edge: Edge, authenticate: Authenticate | None = None) -> None:
        if self.imaging is None or self._pictures is None:
            return
        from fhirserver.imaging.dicomweb import application

        limit = self._settings.dicomweb_body_limit
        self.mounts.add(
            application.PATH,
            application.DicomWeb(
                self.dispatch,
                self.imaging.blobs,
                edge,
                self.root,
                self._pictures,
                now,
                authenticate,
                limit,
            ),
        )

    async def base(self) -> str:
        """The service base URL of requests, as far as it is known without one."""
        settings = self._settings
        marked = await read_marks(self.store.records)
        known = marked.marks.base if marked else ""
        return settings.base_url or known or local_base(settings)

    async def start(self, base: str, *, works: bool = True) -> None:
        """Catches up with what is not indexed, where `base` is known.

        With `works`, it does jobs and locks idle sessions from now on, and ImagingStudies follow
        the archive.
        """
        await self.access.load()
        if self._trail is not None:
            await self._trail.start()
        await self.registry.current(base)
        if not works:
            return
        self.runner.start()
        if self._recovery is not None:
            self._recovery.start(base)
        if self.authorization is not None:
            self.authorization.start()
        self._projector = await self.projector()
        if self._projector is not None:
            self._projector.start()

    async def projector(self) -> Projector | None:
        """What keeps ImagingStudies like the archive, not started; None without an archive."""
        if self.imaging is None:
            return None
        return projector_of(
            self._settings, self.imaging.archive, self.store, self.dispatch, await self.base()
        )

    async def close(self) -> None:
        """Gives jobs back, ends the audit trail, and closes the store."""
        if self._projector is not None:
            await self._projector.stop()
        await self.runner.stop()
        if self.authorization is not None:
            await self.authorization.stop()
        if self._recovery is not None:
            await self._recovery.stop()
        if self._trail is not None:
            await self._trail.close()
        if self.imaging is not None:
            await self.imaging.close()
        await self.store.close()


async def open_running(
    settings: Settings, tallied: Tallied | None = None, pictures: Processes | None = None
) -> Running:
    """A tenant's server over the store of the settings; see `Running`. Raises `Unavailable`,
    `NotRunnable`."""
    store = await open_store(settings)
    try:
        return Running(settings, store, tallied, await open_imaging(settings, store), pictures)
    except BaseException:
        await store.close()
        raise
