"""C-STORE as SCP (PS3.4 annex B, PS3.7 9.1.1): a data set becomes a blob and a row, then a status.

The bytes land in a buffer, and go from there to the spool when it is full, or all have come: so
usual instances are hashed and written in one piece, and those that cannot be stored not at all.
`Success` is said when the blob is named and synced and the row is committed, both at the same
time, together with those of other associations that wait.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from fhirserver.archive.port import Outcome, Source
from fhirserver.blobs.port import Incoming, Spool
from fhirserver.dicom.header import HeaderScan
from fhirserver.dicom.identity import Mismatch, identity_of
from fhirserver.dicom.known import Known
from fhirserver.dicom.part10 import may_be_uid, written_file_meta
from fhirserver.dicom.unreadable import Unreadable
from fhirserver.errors import FhirError, Forbidden, Unauthenticated, Unavailable
from fhirserver.imaging.dimse import command
from fhirserver.imaging.dimse.landing import Landings
from fhirserver.imaging.dimse.session import Session
from fhirserver.interactions.request import Request
from fhirserver.operations.imaging.store import Begin, Received, Transfer

_LOG = logging.getLogger("fhirserver.imaging")
_OPEN_TRANSFERS: Final = 64  # studies that one association may have under way
_COMMIT: Final = 60.0  # seconds that a commit may take


class Status(NamedTuple):
    """What a C-STORE-RSP says. `comment` never quotes what was sent."""

    code: int
    comment: str = ""


SUCCESS: Final = Status(command.SUCCESS)
_FAILED: Final = Status(command.PROCESSING_FAILURE)
_NO_ROOM: Final = Status(command.OUT_OF_RESOURCES, "Cannot be stored now")
_TOO_LARGE: Final = Status(command.OUT_OF_RESOURCES, "Larger than is taken here")
_NOT_ALLOWED: Final = Status(command.NOT_AUTHORIZED)
_INVALID: Final = Status(command.INVALID_INSTANCE)

_BY_OUTCOME: Final[dict[Outcome, Status]] = {
    "new": SUCCESS,
    "same": SUCCESS,
    "replaced": SUCCESS,
    "kept": Status(command.DUPLICATE_INSTANCE, "It is here with other content"),
    "again": _NO_ROOM,
}


@dataclass(frozen=True, slots=True)
class Keeping:
    """Where an association's instances go. `longest`: bytes of a data set at the most."""

    spool: Spool
    longest: int
    landings: Landings


class Storing:
    """What an association stores. Used by its thread alone; `close` when it ends."""

    def __init__(self, session: Session, keeping: Keeping) -> None:
        self._session = session
        self.keeping = keeping
        self.source = Source(session.peer.title, session.origin.address or "")
        self.known = Known()
        self._transfers: OrderedDict[str, Transfer] = OrderedDict()

    def begin(self, sop_class: str, instance: str, transfer_syntax: str) -> Storage:
        """An instance that is announced; its data set follows."""
        return Storage(self, sop_class, instance, transfer_syntax)

    @property
    def is_allowed(self) -> bool:
        return self._session.peer.may("store")

    @property
    def assumed(self) -> tuple[str, ...]:
        """The character set of data sets that name none."""
        declared = self._session.peer.character_set
        return (declared,) if declared else ()

    def transfer(self, study: str) -> Transfer:
        """Leave to add to a study, asked for once. Raises what the gate raises."""
        found = self._transfers.get(study)
        if found is None:
            answer = self._session.ask(_request("dicom-begin", study, Begin(self.source)))
            assert isinstance(answer.imaging, Transfer)
            found = self._transfers[study] = answer.imaging
            if len(self._transfers) > _OPEN_TRANSFERS:
                self._end(self._transfers.popitem(last=False)[1])
        return found

    def close(self) -> None:
        """Tells the audit trail what came."""
        while self._transfers:
            self._end(self._transfers.popitem()[1])

    def _end(self, transfer: Transfer) -> None:
        try:
            self._session.ask(_request("dicom-store", transfer.study, transfer))
        except FhirError as error:
            _LOG.error("the end of a transfer is not in the audit trail: %s", error.text)


class Storage:
    """One C-STORE: fill `room` and say `came`, or `write`; then `finish`, or `abort`."""

    def __init__(
        self, storing: Storing, sop_class: str, instance: str, transfer_syntax: str
    ) -> None:
        self._storing = storing
        self._announced = (sop_class, instance)
        self._transfer_syntax = transfer_syntax
        self._status: Status | None = None
        self._incoming: Incoming | None = None
        self._left = storing.keeping.longest
        self._scan = HeaderScan(transfer_syntax, storing.assumed, storing.known)
        self._landing: memoryview | None = storing.keeping.landings.take()
        self._start = self._from = self._at = 0  # where the data set begins, what comes next
        self.comment = ""
        if not storing.is_allowed:
            self._status = _NOT_ALLOWED
        elif not may_be_uid(instance):
            self._status = _INVALID
        else:
            meta = written_file_meta(*self._announced, transfer_syntax)
            self._start = self._from = self._at = len(meta)
            self._landing[: self._at] = meta

    def room(self) -> memoryview:
        """Where the next bytes of the data set go; never empty."""
        assert self._landing is not None
        return self._landing[self._at :]

    def came(self, count: int) -> None:
        """So many are there now. After a failure they are forgotten."""
        assert self._landing is not None
        self._left -= count
        if self._status is not None:
            return
        if self._left < 0:
            self._fail(_TOO_LARGE)
            return
        self._at += count
        if self._at == len(self._landing):
            try:
                self._put()
            except Unreadable as error:
                self._fail(Status(command.CANNOT_UNDERSTAND, error.text))
            except Unavailable:
                self._fail(_NO_ROOM)

    def write(self, data: bytes) -> None:
        """The next bytes of the data set, from elsewhere."""
        while data:
            room = self.room()
            count = min(len(data), len(room))
            room[:count] = data[:count]
            self.came(count)
            data = data[count:]

    def _put(self) -> None:
        """Reads and writes what has landed. The header first: it may be none."""
        assert self._landing is not None
        self._scan.feed(self._landing[self._from : self._at])
        self._out()
        self._from = self._at = 0

    def _out(self) -> None:
        assert self._landing is not None
        if self._incoming is None:
            self._incoming = self._storing.keeping.spool.open(straight=True)
        self._incoming.write(self._landing[: self._at])

    @property
    def is_excessive(self) -> bool:
        """Whether so much came behind a failure that the peer does not mean to stop."""
        return self._left < -self._storing.keeping.longest

    def finish(self) -> int:
        """Commits. The status of the response; `comment` is its Error Comment."""
        status = self._finished()
        self.comment = status.comment
        return status.code

    def _finished(self) -> Status:
        try:
            return self._status or self._committed()
        except Mismatch as error:
            return Status(command.DATA_SET_MISMATCH, error.text)
        except Unreadable as error:
            return Status(command.CANNOT_UNDERSTAND, error.text)
        except (Forbidden, Unauthenticated):
            return _NOT_ALLOWED
        except (Unavailable, TimeoutError):
            return _NO_ROOM
        except FhirError as error:
            _LOG.error("an instance could not be stored: %s", error.text)
            return _FAILED
        finally:
            self.abort()

    def abort(self) -> None:
        """Gives up; nothing is left of it. Called twice, nothing happens."""
        self._forget()
        if self._landing is not None:
            self._storing.keeping.landings.give_back(self._landing)
            self._landing = None

    def _forget(self) -> None:
        if self._incoming is not None:
            with suppress(Unavailable):
                self._incoming.abort()
            self._incoming = None

    def _committed(self) -> Status:
        assert self._landing is not None
        self._scan.feed(self._landing[self._from : self._at])
        header = self._scan.finish()
        identity = identity_of(header, *self._announced)
        transfer = self._storing.transfer(identity.study)
        outcome: Outcome | None = None
        try:
            self._out()
            assert self._incoming is not None
            received = Received(
                blob=self._incoming.place(),
                header=header,
                identity=identity,
                transfer_syntax=self._transfer_syntax,
                start=self._start,
                received=time.time_ns() // 1000,
            )
            adding = transfer.add_soon([received])
            self._incoming.settle()  # bytes and row become durable at the same time
            outcome = adding.result(_COMMIT)[0]
        finally:
            transfer.count(outcome)
        return _BY_OUTCOME[outcome]

    def _fail(self, status: Status) -> None:
        """The rest is read over and over the same place."""
        self._status = status
        self._from = self._at = 0
        self._forget()


def _request(code: str, study: str, imaging: object) -> Request:
    return Request(interaction=code, base="", type="ImagingStudy", id=study, imaging=imaging)
