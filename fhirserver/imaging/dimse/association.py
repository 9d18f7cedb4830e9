"""Associations by pynetdicom over sockets that were accepted elsewhere.

pynetdicom's server polls by `select`, which ends at descriptor 1024, reads 4 KiB at a time and
believes whatever length a PDU claims. Its state machine is used here over a socket of our own,
which may bring bytes that were read before.
"""

from __future__ import annotations

import logging
import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pydicom import config
from pynetdicom import AE, _config, evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation, AssociationSocket

from fhirserver.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from fhirserver.imaging.dimse.contexts import supported
from fhirserver.imaging.dimse.session import Limits, Session
from fhirserver.imaging.dimse.wire import acknowledge

Handlers = list[tuple[Any, Callable[..., Any]]]

_POLL: Final = 0.0005
"""Seconds that pynetdicom's loop sleeps when nothing happens; its own 1 ms halves the rate."""

_ABORT: Final = bytes.fromhex("070000000004 0000 02 06")
"""A-ABORT by the service provider: invalid PDU parameter value (PS3.8 9.3.8)."""

_LOG = logging.getLogger("fhirserver.dimse")

# What it logs has identifiers of patients in it: whole requests, values in tracebacks.
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
_config.LOG_HANDLER_LEVEL = "none"
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
# Values are told as they were stored, whatever pydicom thinks of them; its warnings quote them.
config.settings.reading_validation_mode = config.IGNORE
config.settings.writing_validation_mode = config.IGNORE
_config.STORE_RECV_CHUNKED_DATASET = True  # to a file, not into memory


class PeerSocket(AssociationSocket):
    """A socket that has `held` to be read first. A PDU longer than `longest` ends it."""

    def __init__(
        self,
        assoc: Association,
        connection: socket.socket | None,
        held: bytes,
        longest: int,
        address: AddressInformation | None = None,
    ) -> None:
        super().__init__(assoc, client_socket=connection, address=address)
        self._held = bytearray(held)
        self._longest = longest

    @property
    def ready(self) -> bool:
        """Whether there is something to read, the end of the connection included."""
        if self.socket is None or not self._is_connected:
            return False
        if self._held or (isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()):
            return True
        poll = select.poll()
        try:
            poll.register(self.socket, select.POLLIN)
            return bool(poll.poll(0))
        except (OSError, ValueError):
            self.event_queue.put("Evt17")
            return False

    def recv(self, nr_bytes: int) -> bytearray:
        """So many bytes; fewer at the end. Raises `OSError` for a PDU that is too long, or
        takes too long to come."""
        if nr_bytes > self._longest:
            raise OSError("The PDU is longer than was negotiated.")
        found = self._held[:nr_bytes]
        del self._held[:nr_bytes]
        if len(found) == nr_bytes:
            return found
        assert self.socket is not None
        read = len(found)
        found.extend(bytes(nr_bytes - read))
        view = memoryview(found)
        end = time.monotonic() + (self.socket.gettimeout() or 60)
        while read < nr_bytes:
            got = self.socket.recv_into(view[read:])
            if not got:
                view.release()
                return found[:read]
            acknowledge(self.socket)
            read += got
            if time.monotonic() > end:
                raise TimeoutError("The PDU did not come in time.")
        view.release()
        return found

    def _shutdown_socket(self) -> None:
        """Closes also what was never connected, which pynetdicom leaves to the collector."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()


def _tune(association: Association) -> None:
    """Lets the loop of an association turn faster, and end in order: whatever cannot be decoded
    raises in pynetdicom's thread, and would be told there with values of the message."""
    provider = association.dul
    provider._run_loop_delay = _POLL
    run = provider.run

    def guarded() -> None:
        try:
            run()
        except Exception as error:  # noqa: BLE001 - the peer gets an A-ABORT, the log no values
            _LOG.warning("an association was aborted: %s", type(error).__name__)
            connection = provider.socket.socket if provider.socket is not None else None
            if connection is not None:
                with suppress(OSError):
                    connection.sendall(_ABORT)
            provider.event_queue.put("Evt17")

    provider.run = guarded  # type: ignore[method-assign]


class Entity(AE):
    """An application entity whose own associations use a `PeerSocket` as well."""

    def _create_socket(
        self,
        assoc: Association,
        address: AddressInformation,
        tls_args: tuple[ssl.SSLContext, str] | None,
    ) -> AssociationSocket:
        found = PeerSocket(assoc, None, b"", self.maximum_pdu_size + 6, address)
        if found.socket is not None:
            found.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found.tls_args = tls_args
        _tune(assoc)
        return found


def application_entity(title: str, limits: Limits) -> Entity:
    """The application entity as pynetdicom has it; `title` is ours."""
    entity = Entity(ae_title=title)
    pdu, silence = limits.pdu, limits.silence
    entity.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    entity.maximum_pdu_size = pdu
    entity.maximum_associations = 100_000  # whoever accepts the connections limits them
    entity.acse_timeout = min(silence, 30)
    entity.dimse_timeout = silence
    entity.network_timeout = silence
    entity.connection_timeout = min(silence, 30)
    return entity


class _Owner:
    """Stands for pynetdicom's server, which closes the sockets that it accepted."""

    def shutdown_request(self, connection: socket.socket) -> None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        connection.close()


class Served(Association):
    """An association that a peer made. `operations` are served here and not by pynetdicom: by
    the class of the request, (association, request, context) -> None."""

    def __init__(self, entity: AE, operations: dict[type, Callable[..., None]]) -> None:
        super().__init__(entity, MODE_ACCEPTOR)
        self._operations = operations
        _tune(self)

    def _serve_request(self, msg: Any, context_id: int) -> None:
        operation = self._operations.get(type(msg))
        context = self._accepted_cx.get(context_id)
        if operation is None or context is None or not msg.is_valid_request:
            super()._serve_request(msg, context_id)
            return
        self.dimse.cancel_req = {}
        self._is_paused = True
        operation(self, msg, context)
        self._is_paused = False
        self.dimse.cancel_req = {}


def serve(
    connection: socket.socket,
    held: bytes,
    session: Session,
    handlers: Handlers,
    operations: dict[type, Callable[..., None]],
    *,
    stores: bool,
) -> None:
    """Serves an association until it ends, and closes the connection.

    `held` was read from it before, from the first byte of the A-ASSOCIATE-RQ. Whoever calls has
    found out that the peer may associate. `stores`: C-STORE is among the handlers.
    """
    limits = session.called.limits
    connection.settimeout(limits.silence)
    with suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    entity = application_entity(session.called.title, limits)
    association = Served(entity, operations)
    association._server = _Owner()  # type: ignore[assignment]
    association.name = f"association-{session.origin.request_id}"
    association.set_socket(PeerSocket(association, connection, held, limits.pdu + 6))
    ours, theirs = association.acceptor, association.requestor
    ours.maximum_length = limits.pdu
    ours.ae_title = session.called.title
    ours.address_info = AddressInformation.from_tuple(connection.getsockname()[:2])
    ours.implementation_class_uid = entity.implementation_class_uid
    ours.implementation_version_name = entity.implementation_version_name
    theirs.address_info = AddressInformation.from_tuple(connection.getpeername()[:2])

    def negotiate(event: evt.Event) -> None:
        asked = event.assoc.requestor.primitive
        proposed = asked.presentation_context_definition_list if asked else []
        roles = event.assoc.requestor.role_selection
        ours.supported_contexts = supported(
            session.peer, proposed, roles, stores=stores, private=limits.private
        )

    association.bind(evt.EVT_REQUESTED, negotiate)
    for event, handler in handlers:
        association.bind(event, handler)
    association.start()
    association.join()
    association.dul.join()
    _remove_files(association)


def _remove_files(association: Association) -> None:
    """Of data sets that came in part, or that nobody served any more: pynetdicom forgets them."""
    left: list[Any] = [association.dimse.message]
    while not association.dimse.msg_queue.empty():
        left.append(association.dimse.msg_queue.get_nowait()[1])
    for one in left:
        file = getattr(one, "_data_set_file", None) or getattr(one, "_dataset_file", None)
        if file is not None:
            file.close()
            Path(file.name).unlink(missing_ok=True)
