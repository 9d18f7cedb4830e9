"""C-FIND of the Modality Worklist (PS3.4 annex K), as a request to the gate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

from pydicom.uid import UID

from fhirserver.imaging.dimse.find import Result, answered
from fhirserver.imaging.dimse.identifier import answer, asked, read
from fhirserver.imaging.dimse.session import Session
from fhirserver.imaging.dimse.status import CANCEL, OUT_OF_RESOURCES, PENDING
from fhirserver.interactions.request import Request
from fhirserver.operations.imaging.worklist import Wanted


def find(session: Session, event: Any) -> Iterator[Result]:
    """Pending answers with scheduled procedure steps, and the final one if it is no success."""
    return answered(_found(session, event), "C-FIND of the worklist")


def _found(session: Session, event: Any) -> Iterator[Result]:
    peer = session.peer
    syntax = UID(event.context.transfer_syntax)
    wanted = asked(read(event.request.Identifier, syntax, peer.character_set))
    named = peer.time_zone or session.called.zone
    zone = ZoneInfo(named) if named else None
    asking = Request(
        "dicom-worklist",
        "",
        type="ServiceRequest",
        parameters=wanted.shown,
        imaging=Wanted(wanted.keys, peer.title, zone),
    )
    entries = session.ask(asking).imaging
    assert isinstance(entries, list)
    for count, entry in enumerate(entries):
        if event.is_cancelled:
            yield CANCEL, None
            return
        if count >= session.called.limits.matches:
            yield OUT_OF_RESOURCES, None
            return
        yield PENDING, answer(entry, wanted)
