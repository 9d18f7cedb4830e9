"""`dicom-begin` and `dicom-store`: instances that a peer, a client or a command brings.

The gate is asked twice for each study of an association (or request): `dicom-begin` before its
first instance, with `Begin`, authorises and gives a `Transfer`; `dicom-store`, with that
`Transfer`, ends it, and says in the audit trail how many came. In between, instances go straight
to the archive. Whoever holds a `Transfer` may add to that study, and to no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from fhirserver.archive.adding import Adding
from fhirserver.archive.port import Instance, Outcome, Source, Study
from fhirserver.audit.imaging import IMAGING_STUDY, StudyAccess
from fhirserver.blobs.port import Stored
from fhirserver.dicom.header import Header
from fhirserver.dicom.identity import Identity
from fhirserver.dicom.pixels import pixels_of
from fhirserver.errors import Fault, Forbidden, Invalid
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.operations.imaging.visible import access, archive_of


@dataclass(frozen=True, slots=True)
class Begin:
    """Asked as `Request.imaging`, with the Study Instance UID as `Request.id`."""

    source: Source


@dataclass(frozen=True, slots=True)
class Received:
    """An instance whose blob, a DICOM file, is committed.

    `start`: where its data set begins in the file. `received` in microseconds since 1970.
    """

    blob: Stored
    header: Header
    identity: Identity
    transfer_syntax: str
    start: int
    received: int


class Transfer:
    """Leave to add instances to one study. `stored`, `failed`: how many were, were not."""

    def __init__(self, adding: Adding, study: str, source: Source) -> None:
        self._adding = adding
        self.study = study
        self.source = source
        self.stored = 0
        self.failed = 0

    async def add(self, received: Sequence[Received]) -> Sequence[Outcome]:
        """Adds instances of the study; what became of each, durably (`archive.port.Outcome`)."""
        outcomes = await self._adding.add([self._row(one) for one in received])
        for outcome in outcomes:
            self.count(outcome)
        return outcomes

    def add_soon(self, received: Sequence[Received]) -> Future[Sequence[Outcome]]:
        """The same from any thread; the caller does `count` what comes of it."""
        return self._adding.add_soon([self._row(one) for one in received])

    def count(self, outcome: Outcome | None) -> None:
        """Takes down what became of an instance; None: it failed."""
        if outcome in ("new", "same", "replaced"):
            self.stored += 1
        else:
            self.failed += 1

    def _row(self, received: Received) -> Instance:
        if received.identity.study != self.study:
            raise Fault("The instance is of another study than was begun.")
        pixels = pixels_of(received.header, received.start)
        identity = received.identity
        return Instance(
            study=identity.study,
            series=identity.series,
            instance=identity.instance,
            sop_class=identity.sop_class,
            transfer_syntax=received.transfer_syntax,
            blob=received.blob.digest,
            size=received.blob.size,
            header=received.header.json,
            received=received.received,
            frames=None if pixels is None else pixels.encoded(),
            source=self.source,
        )


async def begin(context: Context, request: Request) -> Answer:
    """Leave to add to a study, which need not be there yet.

    Who may create ImagingStudies of single patients only has it not: whose study it is is known
    when it is there. Raises `Forbidden`.
    """
    asked = request.imaging
    if not isinstance(asked, Begin) or not request.id:
        raise Invalid("Begin with a study and a source.")
    archive = archive_of(context)
    _check_all(context, request)
    study = await archive.study(request.id)
    transfer = Transfer(Adding(archive, context.blobs), request.id, asked.source)
    return Answer(200, imaging=transfer, studies=(_access(request.id, study, 0),))


async def end(context: Context, request: Request) -> Answer:
    """Says what came of a transfer; nothing is done any more."""
    transfer = request.imaging
    if not isinstance(transfer, Transfer):
        raise Invalid("End with what was begun.")
    study = await archive_of(context).study(transfer.study)
    access = _access(transfer.study, study, transfer.stored)
    return Answer(200, imaging=transfer, studies=(access,))


def _check_all(context: Context, request: Request) -> None:
    if request.grant.unrestricted:
        return
    assert context.access is not None
    rights = context.access.rights(request.grant, context.definitions)
    if rights.confined(IMAGING_STUDY, "c") is not None:
        raise Forbidden("Your access does not include adding to studies.")


def _access(uid: str, study: Study | None, instances: int) -> StudyAccess:
    if study is None:
        return StudyAccess(uid, None, None, instances)
    return access(uid, study.imaging_study, study.subject, instances)
