"""C-MOVE and C-GET (PS3.4 C.4.2, C.4.3): what they ask for, and sub-operations with counters."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_GET, C_MOVE
from pynetdicom.dsutils import encode
from pynetdicom.presentation import PresentationContext

from fhirserver.archive.port import Held
from fhirserver.archive.query import Found, Level, Question, Retrieved, Wanted
from fhirserver.blobs.port import Blobs
from fhirserver.errors import FhirError, Invalid, NotFound, Unavailable
from fhirserver.imaging.dimse import calling
from fhirserver.imaging.dimse.identifier import asked, read
from fhirserver.imaging.dimse.levels import level_of, list_of, one_of
from fhirserver.imaging.dimse.peers import Peer
from fhirserver.imaging.dimse.sending import batches, is_failure, outcome
from fhirserver.imaging.dimse.session import Session
from fhirserver.imaging.dimse.status import (
    CANCEL,
    CANNOT_COUNT_MATCHES,
    CANNOT_SEND,
    PENDING,
    SOME_FAILED,
    SUCCESS,
    UNABLE,
    UNKNOWN_DESTINATION,
    query_status,
)
from fhirserver.interactions.request import Request

_LOG = logging.getLogger("fhirserver.dimse")
_MOST: Final = 65_535
"""Sub-operations that the counters, which are US, can tell of."""

Retrieval = C_MOVE | C_GET


class _Ended(Exception):
    """The request is answered with that status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass
class Counters:
    """How many sub-operations remain, and what became of the others; `lost` have failed."""

    remaining: int
    completed: int = 0
    warning: int = 0
    lost: list[str] = field(default_factory=list)

    def count(self, held: Held, status: int) -> None:
        self.remaining -= 1
        if is_failure(status):
            self.lost.append(held.instance)
        elif status:
            self.warning += 1
        else:
            self.completed += 1

    def lose(self, instances: list[Held]) -> None:
        for held in instances:
            self.count(held, UNABLE)

    @property
    def status(self) -> int:
        """The final one (PS3.4 C.4.2.3.1): all went, some did, none did."""
        if not self.lost:
            return SUCCESS
        return SOME_FAILED if self.completed or self.warning else CANNOT_SEND


def move(session: Session) -> Callable[[Association, C_MOVE, PresentationContext], None]:
    """What serves C-MOVE requests of a session's association."""

    def serve(association: Association, request: C_MOVE, context: PresentationContext) -> None:
        destination = (request.MoveDestination or "").strip()
        audited = (("MoveDestination", destination),)

        def sending(instances: list[Held], blobs: Blobs, counters: Counters) -> Iterator[None]:
            peer = _destination(session, destination)
            yield from _moved(session, peer, request, instances, blobs, counters)

        _destined = lambda: _destination(session, destination)  # noqa: E731
        _serve(session, association, request, context, sending, audited, before=_destined)

    return serve


def get(session: Session) -> Callable[[Association, C_GET, PresentationContext], None]:
    """What serves C-GET requests of a session's association."""

    def serve(association: Association, request: C_GET, context: PresentationContext) -> None:
        def sending(instances: list[Held], blobs: Blobs, counters: Counters) -> Iterator[None]:
            for number, held in enumerate(instances, 1):
                message = (request.MessageID or 0) + number
                status = outcome(session, association, blobs, held, message=message % _MOST + 1)
                counters.count(held, status)
                yield

        _serve(session, association, request, context, sending, (), before=lambda: None)

    return serve


Sending = Callable[[list[Held], Blobs, Counters], Iterator[None]]


def _serve(
    session: Session,
    association: Association,
    request: Retrieval,
    context: PresentationContext,
    sending: Sending,
    audited: tuple[tuple[str, str], ...],
    *,
    before: Callable[[], object],
) -> None:
    """Answers a request: a pending response for each sub-operation, and the final one."""
    reply = _Reply(association, request, context)
    counters = Counters(0)
    try:
        before()
        found = _wanted(session, association, request, context, audited)
        instances = [held for one in found for held in one.instances]
        if len(instances) > _MOST:
            raise _Ended(CANNOT_COUNT_MATCHES)
        counters.remaining = len(instances)
        for _ in sending(instances, found[0].blobs, counters) if instances else ():
            if request.MessageID in association.dimse.cancel_req:
                reply.final(CANCEL, counters)
                return
            if counters.remaining:
                reply.pending(counters)
        reply.final(counters.status, counters)
    except _Ended as end:
        reply.plain(end.status)
    except FhirError as error:
        reply.plain(query_status(error))
    except ConnectionError:
        association.abort()
    except Exception as error:  # noqa: BLE001 - the peer gets a status, and the log no values
        _LOG.error("%s failed: %s", type(request).__name__, type(error).__name__)
        reply.plain(UNABLE)


def _destination(session: Session, title: str) -> Peer:
    peer = session.wait(session.called.peers.get(title)) if title else None
    if peer is None or peer.suspended or peer.host is None:
        raise _Ended(UNKNOWN_DESTINATION)
    return peer


def _moved(
    session: Session,
    peer: Peer,
    request: C_MOVE,
    instances: list[Held],
    blobs: Blobs,
    counters: Counters,
) -> Iterator[None]:
    """Sends the instances to the destination, by one association or, for many SOP classes,
    several. What cannot be sent, because it goes away, counts as failed."""
    number = request.MessageID or 0
    originator = (session.peer.title, number)
    for batch, contexts in batches(instances):
        left = list(batch)
        try:
            with calling.association(session.called, peer, contexts) as association:
                while left:
                    number = number % _MOST + 1
                    status = outcome(
                        session,
                        association,
                        blobs,
                        left[0],
                        message=number,
                        originator=originator,
                    )
                    counters.count(left.pop(0), status)
                    yield
        except (Unavailable, ConnectionError):
            counters.lose(left)
            yield


def _wanted(
    session: Session,
    association: Association,
    request: Retrieval,
    context: PresentationContext,
    audited: tuple[tuple[str, str], ...],
) -> list[Retrieved]:
    """What is asked for, as far as it is there and the peer may have it."""
    syntax = UID(context.transfer_syntax[0])
    data = read(request.Identifier, syntax, session.peer.character_set)
    sop_class = str(request.AffectedSOPClassUID)
    information = association.requestor.sop_class_extended.get(UID(sop_class), b"")
    relational = information[:1] == b"\x01"
    level = level_of(data, sop_class, relational=relational)
    transferred = isinstance(request, C_MOVE)
    found = []
    for wanted in _questions(session, level, data, transferred=transferred):
        asking = Request(
            "dicom-retrieve",
            "",
            type="ImagingStudy",
            id=wanted.study,
            parameters=audited,
            imaging=wanted,
        )
        try:
            answer = session.ask(asking).imaging
        except NotFound:
            continue
        assert isinstance(answer, Retrieved)
        found.append(answer)
    return found


def _questions(
    session: Session, level: Level, data: Dataset, *, transferred: bool
) -> Iterator[Wanted]:
    values = list_of(data, level)
    if not values or any(mark in one for one in values for mark in "*?"):
        raise Invalid("A retrieval names what it wants by unique keys.")
    if level == "patient":
        values = _studies_of(session, data)
    if level in ("patient", "study"):
        for one in values:
            yield Wanted(one, transferred=transferred)
        return
    study = one_of(data, "study") or None
    series = values if level == "series" else tuple(list_of(data, "series"))
    instances = values if level == "instance" else ()
    if study is None and not instances:
        for one in _studies_of_series(session, series):
            yield Wanted(one, tuple(series), transferred=transferred)
        return
    yield Wanted(study, tuple(series), tuple(instances), transferred=transferred)


def _studies_of(session: Session, data: Dataset) -> list[str]:
    keys = asked(data)
    return _found(session, "study", keys.keys, keys.shown)


def _studies_of_series(session: Session, series: Any) -> list[str]:
    data = Dataset()
    data.SeriesInstanceUID = list(series)
    keys = asked(data)
    return _found(session, "series", keys.keys, keys.shown)


def _found(session: Session, level: Level, keys: Any, shown: Any) -> list[str]:
    """The studies of what matches."""
    studies: dict[str, None] = {}
    after: str | None = None
    while True:
        question = Question(level=level, keys=keys, limit=1000, after=after)
        answer = session.ask(
            Request("dicom-query", "", type="ImagingStudy", parameters=shown, imaging=question)
        ).imaging
        assert isinstance(answer, Found)
        studies |= dict.fromkeys(row.study_uid for row in answer.rows)
        after = answer.next
        if after is None:
            return list(studies)


class _Reply:
    """The responses to one request."""

    def __init__(
        self, association: Association, request: Retrieval, context: PresentationContext
    ) -> None:
        self._association = association
        self._request = request
        self._context = context

    def pending(self, counters: Counters) -> None:
        response = self._response(PENDING, counters)
        response.NumberOfRemainingSuboperations = counters.remaining
        self._send(response)

    def final(self, status: int, counters: Counters) -> None:
        """A response with all counters, and the instances that were not sent, if there are any."""
        response = self._response(status, counters)
        if status == CANCEL:
            response.NumberOfRemainingSuboperations = counters.remaining
        if counters.lost:
            data = Dataset()
            data.FailedSOPInstanceUIDList = counters.lost
            syntax = UID(self._context.transfer_syntax[0])
            written = encode(data, syntax.is_implicit_VR, syntax.is_little_endian)
            response.Identifier = BytesIO(written or b"")
        self._send(response)

    def plain(self, status: int) -> None:
        """A response of a request that came to no sub-operations."""
        self._send(self._response(status, None))

    def _response(self, status: int, counters: Counters | None) -> Retrieval:
        response = type(self._request)()
        response.MessageIDBeingRespondedTo = self._request.MessageID
        response.AffectedSOPClassUID = self._request.AffectedSOPClassUID
        response.Status = status
        if counters is not None:
            response.NumberOfCompletedSuboperations = counters.completed
            response.NumberOfFailedSuboperations = len(counters.lost)
            response.NumberOfWarningSuboperations = counters.warning
        return response

    def _send(self, response: Retrieval) -> None:
        if self._association.is_established and self._context.context_id is not None:
            self._association.dimse.send_msg(response, self._context.context_id)
