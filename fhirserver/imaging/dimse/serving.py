"""Who may associate, where instances then go, and who serves what is not for storage."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fhirserver.blobs.port import Spool
from fhirserver.imaging.dimse.admission import APPLICATION_CONTEXT, Rejection
from fhirserver.imaging.dimse.landing import Landings
from fhirserver.imaging.dimse.listening import Places
from fhirserver.imaging.dimse.pdu import AssociateRequest
from fhirserver.imaging.dimse.peers import names_of
from fhirserver.imaging.dimse.receiving import Admission
from fhirserver.imaging.dimse.session import Called, Limits, admit
from fhirserver.imaging.dimse.storing import Keeping, Storing

_VERSION: Final = 1  # of the protocol, a bit of the field


@dataclass(frozen=True, slots=True)
class Hosted:
    """A tenant that was called, and stays open until `leave` is called (from any thread)."""

    called: Called
    spool: Spool
    leave: Callable[[], None]


class Serving:
    """The house of `receiving`. `find` gives the tenant of a called AE title, and may block.

    `longest`: bytes of a data set. `private`: as in `Admission`.
    """

    def __init__(
        self,
        find: Callable[[str], Hosted | None],
        *,
        limits: Limits,
        places: Places,
        longest: int,
        private: bool,
        request_id: Callable[[], str],
    ) -> None:
        self.limits = limits
        self._find = find
        self._places = places
        self._longest = longest
        self._landings = Landings()
        self._private = private
        self._request_id = request_id

    def admit(self, request: AssociateRequest, connection: socket.socket) -> Admission | Rejection:
        """Whether an association is taken (PS3.8 9.3.4). Blocks."""
        if not request.version & _VERSION:
            return Rejection.PROTOCOL_VERSION
        if request.application_context != APPLICATION_CONTEXT:
            return Rejection.APPLICATION_CONTEXT
        hosted = self._find(request.called)
        if hosted is None:
            return Rejection.CALLED_TITLE
        taken: Admission | Rejection = Rejection.NO_REASON
        try:
            taken = self._admitted(hosted, request, connection)
        finally:
            if isinstance(taken, Rejection):
                hosted.leave()
        return taken

    def _admitted(
        self, hosted: Hosted, request: AssociateRequest, connection: socket.socket
    ) -> Admission | Rejection:
        address, server = connection.getpeername()[0], connection.getsockname()[0]
        session = admit(
            hosted.called,
            request.calling,
            address,
            _names(connection),
            server=server,
            request_id=self._request_id(),
        )
        if isinstance(session, Rejection):
            return session
        place = f"{hosted.called.tenant}\\{session.peer.title}"
        if not self._places.take(place):
            return Rejection.LOCAL_LIMIT

        def leave() -> None:
            self._places.give_back(place)
            hosted.leave()

        keeping = Keeping(hosted.spool, self._longest, self._landings)
        return Admission(session, keeping, self._private, leave)

    def hand_over(self, connection: socket.socket, held: bytes, admission: Admission) -> None:
        """Serves an association that is not only for storage, by pynetdicom."""
        from fhirserver.imaging.dimse.services import serve_association

        storing = Storing(admission.session, admission.keeping)
        try:
            serve_association(connection, held, admission.session, storing)
        finally:
            storing.close()


def _names(connection: socket.socket) -> frozenset[str]:
    """The names of the verified client certificate, if there is one."""
    if not isinstance(connection, ssl.SSLSocket):
        return frozenset()
    return names_of(dict(connection.getpeercert() or {}))
