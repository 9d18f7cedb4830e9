"""Associations in which instances are stored, and nothing else is asked but C-ECHO.

The state machine of PS3.8 9.2 as acceptor, on a blocking socket in a thread of its own. Other
associations are handed over with the bytes that were read (docs/adr/0063-c-store.md).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from fhirserver.dicom.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from fhirserver.dicom.transfer_syntax import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
)
from fhirserver.imaging.dimse import command, pdu
from fhirserver.imaging.dimse.admission import Rejection
from fhirserver.imaging.dimse.command import Command
from fhirserver.imaging.dimse.pdu import (
    ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ACCEPTED,
    TRANSFER_SYNTAXES_NOT_SUPPORTED,
    UNEXPECTED_PARAMETER,
    UNEXPECTED_PDU,
    Answered,
    AssociateRequest,
    Malformed,
    Proposed,
)
from fhirserver.imaging.dimse.session import Limits, Session
from fhirserver.imaging.dimse.sop_classes import (
    OTHER_SERVICES,
    VERIFICATION,
    is_storage,
    takes_transfer_syntax,
)
from fhirserver.imaging.dimse.storing import Keeping, Status, Storage, Storing
from fhirserver.imaging.dimse.wire import Closed, Wire

ARTIM: Final = 30.0
"""Seconds until the A-ASSOCIATE-RQ is there, from the connection on (PS3.8 9.1.4)."""

_LEAVING: Final = 5.0  # seconds that the peer gets to close the connection at the end
_COMMAND: Final = 65_536  # bytes of a command set
_UNCOMPRESSED: Final = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, DEFLATED, EXPLICIT_BIG)


@dataclass(frozen=True, slots=True)
class Admission:
    """An association that is taken. `private`: SOP classes outside the standard are stored too.
    `leave` is called when it has ended."""

    session: Session
    keeping: Keeping
    private: bool
    leave: Callable[[], None]


class House(Protocol):
    """Who decides about associations, and serves those that are not for storage."""

    limits: Limits

    def admit(
        self, request: AssociateRequest, connection: socket.socket
    ) -> Admission | Rejection: ...

    def hand_over(self, connection: socket.socket, held: bytes, admission: Admission) -> None:
        """Serves the association to its end. `held`: what was read, from its first byte on."""


class Message:
    """A DIMSE message under way: its command set, then what its data set becomes."""

    def __init__(self, context: int) -> None:
        self.context = context
        self.elements = bytearray()
        self.request: Command | None = None
        self.storage: Storage | None = None
        self.status: Status | None = None


class Reception:
    """One association, from its first byte to its last. `run` in a thread; `stop` from others."""

    def __init__(self, connection: socket.socket, house: House) -> None:
        self._house = house
        self._limits = house.limits
        self._wire = Wire(connection, house.limits.storage_pdu)
        self._stops = False
        self._leave: Callable[[], None] | None = None
        self._accepted: dict[int, tuple[str, str]] = {}
        self._message: Message | None = None
        self._storing: Storing | None = None

    def run(self) -> None:
        """Serves it. Raises nothing that a peer could bring about."""
        try:
            self._associate()
        except Malformed as malformed:
            self._abort(malformed.reason)
        except TimeoutError:
            self._abort(pdu.NOT_SPECIFIED)
        except Closed:
            pass
        finally:
            self._give_up()

    def stop(self, *, at_once: bool = False) -> None:
        """Ends it when its message under way is answered; `at_once`: whatever is under way.

        What was not answered the peer has to send again, so that nothing it relies on is lost.
        """
        self._stops = True
        if at_once or self._message is None:
            with suppress(OSError):
                # Not that of an SSLSocket, which then reads on without decrypting.
                socket.socket.shutdown(self._wire.connection, socket.SHUT_RD)

    def _associate(self) -> None:
        kind, length = self._wire.pdu(ARTIM)
        if kind == pdu.ABORT:
            return
        if kind != pdu.ASSOCIATE_RQ:
            raise Malformed(UNEXPECTED_PDU)
        if length > self._limits.pdu:
            raise Malformed
        body = self._wire.take(length)
        request = pdu.read_associate_request(body)
        admission = self._house.admit(request, self._wire.connection)
        if isinstance(admission, Rejection):
            self._wire.send(pdu.associate_reject(*admission.value))
            self._wire.drain(_LEAVING)
            return
        self._leave = admission.leave
        if not _is_for_storage(request):
            held = pdu.HEAD.pack(kind, length) + body + self._wire.held()
            self._house.hand_over(self._wire.connection, held, admission)
            return
        answers = tuple(_answered(one, admission) for one in request.contexts)
        self._accepted = {
            asked.id: (asked.abstract_syntax, answer.transfer_syntax)
            for asked, answer in zip(request.contexts, answers, strict=True)
            if answer.result == ACCEPTED
        }
        self._storing = Storing(admission.session, admission.keeping)
        self._wire.send(
            pdu.associate_accept(
                body,
                answers,
                maximum_length=self._limits.storage_pdu,
                implementation_class=IMPLEMENTATION_CLASS_UID,
                implementation_version=IMPLEMENTATION_VERSION_NAME,
            )
        )
        self._serve()

    def _serve(self) -> None:
        """Sta6: data transfer."""
        while True:
            if self._stops and self._message is None:
                raise Malformed(pdu.NOT_SPECIFIED)
            kind, length = self._wire.pdu(self._limits.silence)
            if kind == pdu.P_DATA_TF:
                self._take(length)
            elif kind == pdu.RELEASE_RQ and self._message is None:
                self._end_transfers()
                self._wire.send(pdu.RELEASE_RESPONSE)
                self._wire.drain(_LEAVING)
                return
            elif kind == pdu.ABORT:
                return
            else:
                raise Malformed(UNEXPECTED_PDU)

    def _take(self, left: int) -> None:
        """The presentation data values of a P-DATA-TF (PS3.8 9.3.5.1)."""
        while left:
            if left < pdu.PDV_HEAD.size:
                raise Malformed
            length, context, control = pdu.PDV_HEAD.unpack(self._wire.head(pdu.PDV_HEAD.size))
            left -= 4 + length
            if length < 2 or left < 0 or control > 3:
                raise Malformed
            is_last = bool(control & 2)
            if control & 1:
                self._take_command(context, length - 2, is_last)
            else:
                self._take_data(context, length - 2, is_last)

    def _take_command(self, context: int, size: int, is_last: bool) -> None:
        message = self._message
        if message is None:
            if context not in self._accepted:
                raise Malformed(UNEXPECTED_PARAMETER)
            message = self._message = Message(context)
        if message.context != context or message.request is not None:
            raise Malformed(UNEXPECTED_PARAMETER)
        if len(message.elements) + size > _COMMAND:
            raise Malformed
        message.elements += self._wire.take(size)
        if is_last:
            message.request = Command(message.elements)
            self._begin(message, message.request)

    def _take_data(self, context: int, size: int, is_last: bool) -> None:
        message = self._message
        if message is None or message.request is None or message.context != context:
            raise Malformed(UNEXPECTED_PARAMETER)
        storage = message.storage
        if storage is None:
            self._wire.skip(size)
        else:
            self._land(storage, size)
        if is_last:
            if storage is not None:
                message.status = Status(storage.finish(), storage.comment)
            assert message.status is not None
            self._respond(message, message.status)

    def _land(self, storage: Storage, size: int) -> None:
        while size:
            room = storage.room()[:size]
            self._wire.into(room)
            storage.came(len(room))
            if storage.is_excessive:
                raise Malformed(pdu.NOT_SPECIFIED)
            size -= len(room)

    def _begin(self, message: Message, request: Command) -> None:
        """What a request is; those without a data set are answered at once."""
        abstract, transfer_syntax = self._accepted[message.context]
        if request.field == command.C_CANCEL_RQ:
            self._message = None  # nothing goes on that could be cancelled
            return
        if request.field == command.C_ECHO_RQ and abstract == VERIFICATION:
            message.status = Status(command.SUCCESS)
        elif request.field != command.C_STORE_RQ or abstract == VERIFICATION:
            message.status = Status(command.UNRECOGNIZED_OPERATION)
        elif request.sop_class != abstract:
            message.status = Status(command.CLASS_NOT_SUPPORTED)
        elif not request.has_data_set:
            message.status = Status(command.CANNOT_UNDERSTAND, "There is no data set")
        else:
            assert self._storing is not None
            message.storage = self._storing.begin(abstract, request.instance, transfer_syntax)
        if not request.has_data_set:
            assert message.status is not None
            self._respond(message, message.status)

    def _respond(self, message: Message, status: Status) -> None:
        assert message.request is not None
        self._message = None
        self._wire.send(command.response(message.request, message.context, *status))

    def _abort(self, reason: int) -> None:
        with suppress(Closed):
            self._wire.send(pdu.abort(reason))
            self._wire.drain(_LEAVING)

    def _give_up(self) -> None:
        """Ends what was under way, and closes the connection."""
        if self._message is not None and self._message.storage is not None:
            self._message.storage.abort()
        self._end_transfers()
        if self._leave is not None:
            self._leave()
        with suppress(OSError):
            self._wire.connection.close()

    def _end_transfers(self) -> None:
        if self._storing is not None:
            self._storing.close()


def _is_for_storage(request: AssociateRequest) -> bool:
    """Whether nothing else is asked for: what nobody serves does not count as asked for."""
    return not request.roles and not any(
        one.abstract_syntax in OTHER_SERVICES for one in request.contexts
    )


def _answered(proposed: Proposed, admission: Admission) -> Answered:
    """The answer to a presentation context: one of its transfer syntaxes, as proposed.

    The first one is the sender's choice; only among uncompressed ones we have one of our own.
    """
    taken = [one for one in proposed.transfer_syntaxes if takes_transfer_syntax(one)]
    abstract, first = proposed.abstract_syntax, proposed.transfer_syntaxes[0]
    peer = admission.session.peer
    if abstract == VERIFICATION:
        taken = [one for one in taken if one in _UNCOMPRESSED]
        is_served = peer.may("echo")
    else:
        is_served = is_storage(abstract, private=admission.private) and peer.may("store")
    if not is_served:
        return Answered(proposed.id, ABSTRACT_SYNTAX_NOT_SUPPORTED, first)
    if not taken:
        return Answered(proposed.id, TRANSFER_SYNTAXES_NOT_SUPPORTED, first)
    if taken[0] in _UNCOMPRESSED:
        taken.sort(key=lambda one: _UNCOMPRESSED.index(one) if one in _UNCOMPRESSED else 9)
    return Answered(proposed.id, ACCEPTED, taken[0])
