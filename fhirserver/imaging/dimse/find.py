"""C-FIND of Query/Retrieve, Patient and Study Root (PS3.4 C.4.1), as requests to the gate."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import UID

from fhirserver.archive.query import Found, Level, Question
from fhirserver.errors import FhirError
from fhirserver.imaging.dimse.identifier import Asked, answer, asked, attributes, read
from fhirserver.imaging.dimse.levels import below, level_of
from fhirserver.imaging.dimse.session import Session
from fhirserver.imaging.dimse.status import (
    CANCEL,
    OUT_OF_RESOURCES,
    PENDING,
    PENDING_UNSUPPORTED_KEYS,
    UNABLE,
    query_status,
)
from fhirserver.interactions.request import Request

Result = tuple[int, Dataset | None]

_LOG = logging.getLogger("fhirserver.dimse")
_PAGE: Final = 200

_OF_ROWS: Final = frozenset(
    (
        "00080018", "00080016", "00080020", "00080030", "00080050", "00080060", "00080061",
        "00100010", "00100020", "00100021", "0020000D", "0020000E", "00201206", "00201208",
        "00201209",
    )
)  # fmt: skip
"""Attributes that a match has at its level without looking into a header."""

RELATIONAL: Final = 0
COMBINED_DATE_TIME: Final = 1
FUZZY: Final = 2


def extended_negotiation(event: Any) -> dict[Any, bytes]:
    """What is accepted of relational queries, combined dates and times, fuzzy names (C.5.1.1)."""
    accepted = {}
    for sop_class, information in event.app_info.items():
        wanted = bytes(information[:3])
        accepted[sop_class] = bytes(1 if byte == 1 else 0 for byte in wanted)
    return accepted


def negotiated(event: Any, option: int) -> bool:
    """Whether the requestor negotiated an option for the SOP class of its request."""
    sop_class = event.request.AffectedSOPClassUID
    information = event.assoc.requestor.sop_class_extended.get(sop_class, b"")
    return len(information) > option and information[option] == 1


def find(session: Session, event: Any) -> Iterator[Result]:
    """Pending answers with matches, and the final one if it is no success."""
    return answered(_found(session, event), "C-FIND")


def answered(found: Iterator[Result], what: str) -> Iterator[Result]:
    """What is found, and the status of a failure if it ends with one, logged as that of `what`."""
    try:
        yield from found
    except FhirError as error:
        yield query_status(error), None
    except Exception as error:  # noqa: BLE001 - the peer gets a status, and the log no values
        _LOG.error("%s failed: %s", what, type(error).__name__)
        yield UNABLE, None


def _found(session: Session, event: Any) -> Iterator[Result]:
    syntax = UID(event.context.transfer_syntax)
    data = read(event.request.Identifier, syntax, session.peer.character_set)
    relational = negotiated(event, RELATIONAL)
    level = level_of(data, str(event.request.AffectedSOPClassUID), relational=relational)
    wanted = asked(data, fuzzy=negotiated(event, FUZZY))
    combined = negotiated(event, COMBINED_DATE_TIME)
    for count, match in enumerate(_matches(session, level, wanted, combined=combined)):
        if event.is_cancelled:
            yield CANCEL, None
            return
        if count >= session.called.limits.matches:
            yield OUT_OF_RESOURCES, None
            return
        unsupported = not below(level).isdisjoint(wanted.tags)
        status = PENDING_UNSUPPORTED_KEYS if unsupported else PENDING
        yield (
            status,
            answer(
                match,
                wanted,
                QueryRetrieveLevel=str(data.QueryRetrieveLevel),
                RetrieveAETitle=session.called.title,
                InstanceAvailability="ONLINE",
            ),
        )


def _matches(
    session: Session, level: Level, wanted: Asked, *, combined: bool
) -> Iterator[dict[str, Any]]:
    """The attributes of the matches, page after page. What lies below the level is left out."""
    hidden = below(level)
    after: str | None = None
    while True:
        question = Question(
            level=level,
            keys=tuple(one for one in wanted.keys if one.tag not in hidden),
            limit=_PAGE,
            after=after,
            combined=combined,
            headers=not wanted.tags.keys() <= _OF_ROWS,
        )
        asking = Request(
            "dicom-query", "", type="ImagingStudy", parameters=wanted.shown, imaging=question
        )
        found = session.ask(asking).imaging
        assert isinstance(found, Found)
        for row in found.rows:
            match = attributes(row.joined(), row.header)
            yield {tag: value for tag, value in match.items() if tag not in hidden}
        after = found.next
        if after is None:
            return
