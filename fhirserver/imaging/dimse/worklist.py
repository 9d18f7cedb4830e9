"""C-FIND of the Modality Worklist (PS3.4 annex K), as a request to the gate."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

from pydicom.uid import UID

from fhirserver.errors import FhirError
from fhirserver.imaging.dimse.find import Result
from fhirserver.imaging.dimse.identifier import answer, asked, read
from fhirserver.imaging.dimse.session import Session
from fhirserver.imaging.dimse.status import (
    CANCEL,
    OUT_OF_RESOURCES,
    PENDING,
    UNABLE,
    query_status,
)
from fhirserver.interactions.request import Request
from fhirserver.operations.imaging.worklist import Wanted

_LOG = logging.getLogger("fhirserver.dimse")


def find(session: Session, event: Any) -> Iterator[Result]:
    """Pending answers with scheduled procedure steps, and the final one if it is no success."""
    try:
        yield from _found(session, event)
    except FhirError as error:
        yield query_status(error), None
    except Exception as error:  # noqa: BLE001 - the peer gets a status, and the log no values
        _LOG.error("C-FIND of the worklist failed: %s", type(error).__name__)
        yield UNABLE, None


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
