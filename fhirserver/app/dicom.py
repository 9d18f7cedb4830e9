"""A process that serves DICOM associations: store and gate as a worker has, and the port.

`python -m fhirserver.app.dicom N` serves the listening socket with descriptor N, until it is
told to stop (SIGTERM, SIGINT) or its standard input ends, which its parent holds.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from fhirserver.app.errors import NotRunnable
from fhirserver.app.ids import now, request_ids
from fhirserver.app.imaging import open_imaging
from fhirserver.app.open_tenants import OpenTenants
from fhirserver.app.projection import issuers_of
from fhirserver.app.running import Running, open_running
from fhirserver.app.stores import open_store
from fhirserver.app.tenants import TenantTable
from fhirserver.app.warm import collect_garbage_seldom
from fhirserver.errors import FhirError, NotFound
from fhirserver.imaging.dimse.listening import GRACE, Listening, Places
from fhirserver.imaging.dimse.peers import COMMITMENTS, CalledTitles, Peers
from fhirserver.imaging.dimse.serving import Hosted, Serving
from fhirserver.imaging.dimse.session import Called, Limits
from fhirserver.imaging.dimse.tls import client_tls
from fhirserver.operations.imaging.planned import keep_parameters
from fhirserver.settings import Settings
from fhirserver.settings.reading import read

_LOG = logging.getLogger("fhirserver.imaging")
_FAILED: Final = 3
NEVER: Final = 4
"""What a process ends with that need not be started again."""

_REPORTING: Final = 1.0  # seconds between looks at what is to be reported


class _Port:
    """The tenants of the process by their called AE titles."""

    def __init__(self, settings: Settings, running: Running) -> None:
        self._settings = settings
        self._running = running
        self._table = TenantTable(running.store.records)
        self._tenants = OpenTenants(settings, self._table)
        self._titles = CalledTitles(running.store.records)
        self._loop = asyncio.get_running_loop()
        self._tls = client_tls_of(settings)
        self._limits = Limits(
            silence=float(settings.dicom_silence), private=settings.dicom_private_classes
        )
        self._called = {settings.dicom_aet}
        self._searchable: set[str] = set()
        self.most = settings.dicom_associations

    def serving(self) -> Serving:
        settings = self._settings
        return Serving(
            self.hosted,
            limits=self._limits,
            places=Places(settings.dicom_associations, settings.dicom_peer_associations),
            longest=settings.dicom_object_limit,
            private=settings.dicom_private_classes,
            request_id=request_ids(),
        )

    def hosted(self, title: str) -> Hosted | None:
        """The tenant of a title; blocks."""
        return asyncio.run_coroutine_threadsafe(self._find(title), self._loop).result()

    async def report(self) -> None:
        """Tells peers what became of their requests for storage commitment, until cancelled:
        those of tenants that were called since the process began, or that it left unfinished."""
        with suppress(FhirError):  # else they go on when they are called
            await self._resume()
        while True:
            for title in sorted(self._called):
                try:
                    await self._report(title)
                except FhirError as error:
                    _LOG.warning("storage commitments wait: %s", type(error).__name__)
            await asyncio.sleep(_REPORTING)

    async def _resume(self) -> None:
        """Takes up the tenants whose peers wait for a report, or studies for their projection."""
        for title, name in await self._titles.all():
            held = await self._table.get(name)
            if held is None or held.tenant.state != "active":
                continue
            with suppress(FhirError, ValueError):
                if await _waits(held.tenant.settings_by(self._settings)):
                    self._called.add(title)

    async def _report(self, title: str) -> None:
        hosted = await self._find(title)
        if hosted is None:
            self._called.discard(title)
            return
        try:
            records = hosted.called.records
            if records is None or not await records.list(COMMITMENTS):
                return
            from fhirserver.imaging.dimse.commitment import Reporter  # brings pynetdicom

            await Reporter(hosted.called).step()
        finally:
            hosted.leave()

    async def close(self) -> None:
        """Closes the tenants that were called."""
        await self._tenants.close()

    async def _find(self, title: str) -> Hosted | None:
        if title == self._settings.dicom_aet:
            return await self._of(self._running, title, lambda: None)
        name = await self._titles.tenant(title)
        if name is None:
            return None
        try:
            opened = await self._tenants.find(name)
        except NotFound:
            return None
        running = opened.__enter__()

        def leave() -> None:
            self._loop.call_soon_threadsafe(opened.__exit__, None, None, None)

        return await self._of(running, title, leave)

    async def _of(self, running: Running, title: str, leave: Callable[[], None]) -> Hosted | None:
        if running.imaging is None:
            leave()
            return None
        self._called.add(title)
        base = await running.base()
        if running.tenant not in self._searchable:
            self._searchable.add(running.tenant)
            await keep_parameters(running.dispatch, base)
        called = Called(
            tenant=running.tenant,
            title=title,
            base=base,
            peers=Peers(running.store.records, now=now),
            dispatch=running.dispatch,
            loop=self._loop,
            now=now,
            records=running.store.records,
            access=None if running.is_open else running.access,
            tls=self._tls,
            limits=self._limits,
            issuers=issuers_of(self._settings),
            zone=self._settings.dicom_time_zone,
        )
        return Hosted(called, running.imaging.blobs.spool, leave)


async def serve(settings: Settings, listener: socket.socket, stops: asyncio.Event) -> None:
    """Serves associations until `stops` is set; messages under way are answered then.

    Raises `FhirError`, `NotRunnable`, `OSError` where it cannot start.
    """
    tls = tls_of(settings)
    running = await open_running(settings)
    try:
        if running.imaging is None:
            raise NotRunnable("this store has no archive of DICOM instances beside it")
        # The server has jobs and projection of its own; nobody else may have other tenants open.
        await running.start(settings.base_url or "", works=False)
        port = _Port(settings, running)
        try:
            await _serve(port, listener, tls, stops)
        finally:
            await port.close()
    finally:
        await running.close()


async def _serve(
    port: _Port, listener: socket.socket, tls: ssl.SSLContext | None, stops: asyncio.Event
) -> None:
    listening = Listening(listener, port.serving(), most=port.most, tls=tls)
    reporting = asyncio.create_task(port.report())
    collect_garbage_seldom()
    listening.start()
    try:
        await stops.wait()
    finally:
        await asyncio.to_thread(listening.stop, GRACE)
        reporting.cancel()
        with suppress(asyncio.CancelledError):
            await reporting


async def _waits(settings: Settings) -> bool:
    """Whether a tenant has something unfinished that nobody else takes up."""
    store = await open_store(settings)
    try:
        if await store.records.list(COMMITMENTS):
            return True
        imaging = await open_imaging(settings, store)
        try:
            return bool(await imaging.archive.changed(1))
        finally:
            await imaging.close()
    finally:
        await store.close()


def tls_of(settings: Settings) -> ssl.SSLContext | None:
    """TLS of the port by BCP 195 (PS3.15 B.9, B.12), if it has any. Raises `OSError`."""
    if settings.dicom_tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(
        settings.dicom_tls_certificate, settings.dicom_tls_key, password=lambda: ""
    )
    if settings.dicom_tls_clients is not None:
        context.load_verify_locations(settings.dicom_tls_clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_tls_of(settings: Settings) -> ssl.SSLContext | None:
    """What peers with TLS are called with, by the same certificates. Raises `OSError`."""
    certificate = settings.dicom_tls_certificate
    if certificate is None:
        return None
    return client_tls(certificate, settings.dicom_tls_key, settings.dicom_tls_clients)


async def _run(settings: Settings, listener: socket.socket) -> None:
    loop, stops = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stops.set)

    def orphaned() -> None:
        while os.read(0, 1024):
            pass
        loop.call_soon_threadsafe(stops.set)

    threading.Thread(target=orphaned, name="parent", daemon=True).start()
    await serve(settings, listener, stops)


def main(descriptor: str) -> int:
    """The process. The number that it ends with."""
    settings = read()
    logging.basicConfig(level="WARNING", format="%(asctime)s %(levelname)s %(name)s - %(message)s")
    logging.getLogger("fhirserver").setLevel(settings.log_level.upper())
    try:
        asyncio.run(_run(settings, socket.socket(fileno=int(descriptor))))
    except NotRunnable as error:
        _LOG.error("the DICOM port cannot be served: %s", error)
        return NEVER
    except (FhirError, OSError) as error:
        _LOG.error("the DICOM port cannot be served: %s", error)
        return _FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
