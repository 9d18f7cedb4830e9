"""N-CREATE and N-SET of Modality Performed Procedure Step (PS3.4 F.7), as requests to the gate."""

from __future__ import annotations

import logging
from dataclasses import replace
from io import BytesIO
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from fhirserver.dicom.part10 import may_be_uid
from fhirserver.errors import FhirError, NotFound
from fhirserver.imaging.dimse.identifier import read
from fhirserver.imaging.dimse.session import Session
from fhirserver.imaging.dimse.status import (
    DUPLICATE_INSTANCE,
    INVALID_INSTANCE,
    MISSING_VALUE,
    NO_SUCH_INSTANCE,
    PROCESSING_FAILURE,
    SUCCESS,
    normalized_status,
)
from fhirserver.interactions.request import Request
from fhirserver.operations.imaging.mpps import Duplicate, Ended, Missing, Performed

Result = tuple[int | Dataset, Dataset | None]

NO_LONGER_UPDATED: Final = 0xA506
"""Error ID of an N-SET on a step that has ended (PS3.4 F.7.2.2.4)."""

_LOG = logging.getLogger("fhirserver.dimse")


def create(session: Session, event: Any) -> Result:
    """The status of an N-CREATE, with the UID where the modality left that to us."""
    request = event.request
    instance = str(request.AffectedSOPInstanceUID or "")
    if instance and not may_be_uid(instance):
        return INVALID_INSTANCE, None
    minted = "" if instance else str(generate_uid(prefix=None))
    status = _told(session, event, instance or minted, request.AttributeList, begins=True)
    answer = Dataset()
    if minted:
        answer.AffectedSOPInstanceUID = minted
    return status, answer if minted and status == SUCCESS else None


def set(session: Session, event: Any) -> Result:
    """The status of an N-SET."""
    request = event.request
    instance = str(request.RequestedSOPInstanceUID or "")
    return _told(session, event, instance, request.ModificationList, begins=False), None


def _told(
    session: Session, event: Any, instance: str, data: BytesIO | None, *, begins: bool
) -> int | Dataset:
    peer = session.peer
    zone = peer.time_zone or session.called.zone
    try:
        found = read(data, UID(event.context.transfer_syntax), peer.character_set)
        issuers = replace(session.called.issuers, assumed=peer.issuer or "")
        attributes = found.to_json_dict(suppress_invalid_tags=True)
        told = Performed(instance, attributes, begins, issuers, zone)
        session.ask(Request("dicom-mpps", "", type="ImagingStudy", imaging=told))
    except Duplicate:
        return DUPLICATE_INSTANCE
    except Ended:
        return _no_longer()
    except NotFound:
        return NO_SUCH_INSTANCE
    except Missing:
        return MISSING_VALUE
    except FhirError as error:
        return normalized_status(error)
    except Exception as error:  # noqa: BLE001 - the peer gets a status, and the log no values
        _LOG.error("A performed procedure step failed: %s", type(error).__name__)
        return PROCESSING_FAILURE
    return SUCCESS


def _no_longer() -> Dataset:
    status = Dataset()
    status.Status = PROCESSING_FAILURE
    status.ErrorComment = "Performed Procedure Step Object may no longer be updated"
    status.ErrorID = NO_LONGER_UPDATED
    return status
