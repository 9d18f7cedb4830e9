"""What is served on an association: the table of services, and the way in."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from pynetdicom import evt
from pynetdicom.dimse_primitives import C_GET, C_MOVE

from fhirserver.dicom.part10 import read_file_meta
from fhirserver.imaging.dimse import commitment, mpps, worklist
from fhirserver.imaging.dimse.association import serve
from fhirserver.imaging.dimse.contexts import WORKLIST
from fhirserver.imaging.dimse.find import Result, extended_negotiation, find
from fhirserver.imaging.dimse.retrieve import get, move
from fhirserver.imaging.dimse.session import Session
from fhirserver.imaging.dimse.status import SUCCESS

_CHUNK: Final = 1 << 18


class Storage(Protocol):
    """An instance that is being stored."""

    def write(self, data: bytes) -> None:
        """Takes in bytes of the data set."""

    def finish(self) -> int:
        """Ends it; the status of the C-STORE."""

    def abort(self) -> None:
        """Gives up what has not ended."""


class Storing(Protocol):
    """What takes the instances of an association that has other services as well."""

    def begin(self, sop_class: str, instance: str, transfer_syntax: str) -> Storage: ...


def serve_association(
    connection: socket.socket, held: bytes, session: Session, storing: Storing | None = None
) -> None:
    """Serves an association by pynetdicom until it ends, and closes the connection.

    `held` was read from the connection before: from the first byte of the A-ASSOCIATE-RQ on.
    Blocks; nothing is raised for what a peer does. Without `storing`, storage is not accepted.
    """

    def found(event: Any) -> Iterator[Result]:
        if event.request.AffectedSOPClassUID == WORKLIST:
            return worklist.find(session, event)
        return find(session, event)

    def stored(event: Any) -> int:
        assert storing is not None
        request = event.request
        instance = storing.begin(
            str(request.AffectedSOPClassUID),
            str(request.AffectedSOPInstanceUID),
            str(event.context.transfer_syntax),
        )
        try:
            with event.dataset_path.open("rb") as file:
                file.seek(read_file_meta(file.read(_CHUNK), whole=False).start)
                while chunk := file.read(_CHUNK):
                    instance.write(chunk)
            return instance.finish()
        finally:
            instance.abort()
            event.dataset_path.unlink(missing_ok=True)  # pynetdicom leaves it after a failure

    handlers: list[tuple[Any, Callable[..., Any]]] = [
        (evt.EVT_C_ECHO, lambda event: SUCCESS),
        (evt.EVT_SOP_EXTENDED, extended_negotiation),
        (evt.EVT_C_FIND, found),
        (evt.EVT_N_CREATE, lambda event: mpps.create(session, event)),
        (evt.EVT_N_SET, lambda event: mpps.set(session, event)),
        (evt.EVT_N_ACTION, lambda event: commitment.action(session, event)),
    ]
    if storing is not None:
        handlers.append((evt.EVT_C_STORE, stored))
    operations: dict[type, Callable[..., None]] = {C_MOVE: move(session), C_GET: get(session)}
    serve(connection, held, session, handlers, operations, stores=storing is not None)
