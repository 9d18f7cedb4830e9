"""Storage Commitment Push Model (PS3.4 annex J): requests, and reports on associations of ours.

A request is durable before it is answered. It is looked into afterwards, and told to the peer by
N-EVENT-REPORT on a new association in which we are the SCP by role selection (PS3.4 J.3.3): few
devices take a report on their own association. Where the peer cannot be reached, it is told
again later, for a day.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import msgspec
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import build_context

from fhirserver.dicom.part10 import may_be_uid
from fhirserver.errors import FhirError, Forbidden, Invalid, Unavailable
from fhirserver.imaging.dimse import calling
from fhirserver.imaging.dimse.contexts import STORAGE_COMMITMENT, UNCOMPRESSED
from fhirserver.imaging.dimse.identifier import read
from fhirserver.imaging.dimse.peers import COMMITMENTS, Peer
from fhirserver.imaging.dimse.session import Called, Session, admitted_again
from fhirserver.imaging.dimse.status import (
    INVALID_ARGUMENT,
    NO_SUCH_ACTION,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    SUCCESS,
    normalized_status,
)
from fhirserver.interactions.request import Request
from fhirserver.operations.imaging.commitment import NO_SUCH_INSTANCE, Committed, Referenced
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Record, Records

COLLECTION: Final = COMMITMENTS
INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""The well-known SOP Instance of the service (PS3.4 J.3.5)."""

_REQUEST: Final = 1
_ALL_SAFE: Final = 1
_SOME_FAILED: Final = 2
_MOST: Final = 20_000  # instances of a request
_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_LEASE: Final = 600 * _SECOND
_DELAYS: Final = (2, 10, 60, 300, 900, 3600)

_LOG = logging.getLogger("fhirserver.dimse")


class Pending(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request that is not told about yet. Instants are microseconds since 1970: `due` is when
    to try next, `begun` when it came. `instances` are (SOP Class UID, SOP Instance UID)."""

    peer: str
    transaction: str
    instances: tuple[tuple[str, str], ...]
    begun: int
    due: int
    tries: int = 0


def action(session: Session, event: Any) -> tuple[int, None]:
    """Status of an N-ACTION."""
    request, records = event.request, session.called.records
    try:
        if records is None:
            return PROCESSING_FAILURE, None
        if request.ActionTypeID != _REQUEST:
            return NO_SUCH_ACTION, None
        if session.peer.host is None:
            return PROCESSING_FAILURE, None  # it could not be told
        data = read(request.ActionInformation, UID(event.context.transfer_syntax), None)
        pending = _pending(session.peer, data, session.called.now())
        key = f"{session.peer.title}/{pending.transaction}"
        session.wait(_keep(records, key, pending))
    except Invalid:
        return INVALID_ARGUMENT, None
    except FhirError as error:
        return normalized_status(error), None
    except Exception as error:  # noqa: BLE001 - the peer gets a status, and the log no values
        _LOG.error("A request for storage commitment failed: %s", type(error).__name__)
        return RESOURCE_LIMITATION, None
    return SUCCESS, None


async def _keep(records: Records, key: str, pending: Pending) -> None:
    """A request that was sent before and is not told about yet stays as it is."""
    try:
        await records.put(COLLECTION, key, msgspec.json.encode(pending), expected=ABSENT)
    except Stale:
        return


def _pending(peer: Peer, data: Dataset, now: int) -> Pending:
    transaction = str(data.get("TransactionUID", "") or "")
    items = data.get("ReferencedSOPSequence") or []
    instances = tuple(
        (str(item.get("ReferencedSOPClassUID")), str(item.get("ReferencedSOPInstanceUID")))
        for item in items
    )
    if not may_be_uid(transaction) or not 0 < len(instances) <= _MOST:
        raise Invalid("A request for storage commitment has a Transaction UID and instances.")
    if not all(may_be_uid(uid) for pair in instances for uid in pair):
        raise Invalid("An instance is referenced by the UIDs of its class and itself.")
    return Pending(peer.title, transaction, instances, now, now)


class Reporter:
    """Tells peers what became of their requests. One of a tenant in each process is fine: they
    take turns by the records. `every` is in seconds."""

    def __init__(self, called: Called, every: float = 1.0) -> None:
        assert called.records is not None
        self._called = called
        self._records = called.records
        self._now = called.now
        self._every = every

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        while True:
            try:
                await self.step()
            except FhirError as error:
                _LOG.warning("Storage commitments wait: %s", type(error).__name__)
            await asyncio.sleep(self._every)

    async def step(self) -> None:
        """Tells what is due now."""
        for record in await self._records.list(COLLECTION):
            pending = _DECODER.decode(record.body)
            if pending.due > self._now():
                continue
            taken = await self._take(record, pending)
            if taken is not None:
                await self._tell(record.key, taken, pending)

    async def _take(self, record: Record, pending: Pending) -> int | None:
        """The revision under which the request is ours for a while; None: it is another's."""
        later = msgspec.structs.replace(pending, due=self._now() + _LEASE)
        try:
            return await self._records.put(
                COLLECTION, record.key, msgspec.json.encode(later), expected=record.revision
            )
        except Stale:
            return None

    async def _tell(self, key: str, revision: int, pending: Pending) -> None:
        session = await admitted_again(self._called, pending.peer)
        told = session is None  # who is no peer any more, is told nothing
        if session is not None:
            try:
                told = await self._told(session, pending)
            except FhirError as error:
                _LOG.info("A storage commitment was not told: %s", type(error).__name__)
        if told or self._now() - pending.begun > _DAY:
            await self._records.delete(COLLECTION, key)
            return
        delay = _DELAYS[min(pending.tries, len(_DELAYS) - 1)] * _SECOND
        again = msgspec.structs.replace(pending, due=self._now() + delay, tries=pending.tries + 1)
        try:
            await self._records.put(COLLECTION, key, msgspec.json.encode(again), expected=revision)
        except Stale:
            return

    async def _told(self, session: Session, pending: Pending) -> bool:
        """Whether the peer was told."""
        asking = Request(
            "dicom-commitment",
            self._called.base,
            type="ImagingStudy",
            imaging=Referenced(pending.instances, pending.peer),
            grant=session.grant,
            origin=session.origin,
        )
        try:
            answer = (await self._called.dispatch(asking)).imaging
        except Forbidden:  # what it may not see does not exist for it
            failed = tuple((*pair, NO_SUCH_INSTANCE) for pair in pending.instances)
            answer = Committed((), failed)
        assert isinstance(answer, Committed)
        return await asyncio.to_thread(_report, self._called, session.peer, pending, answer)


def _report(called: Called, peer: Peer, pending: Pending, committed: Committed) -> bool:
    """Sends the N-EVENT-REPORT, with us as SCP; whether the peer took it. Raises `Unavailable`."""
    role = SCP_SCU_RoleSelectionNegotiation()
    role.sop_class_uid = UID(STORAGE_COMMITMENT)
    role.scu_role, role.scp_role = False, True
    context = build_context(UID(STORAGE_COMMITMENT), [UID(item) for item in UNCOMPRESSED])
    with calling.association(called, peer, [context], [role]) as association:
        try:
            status, _ = association.send_n_event_report(
                _event(pending, committed),
                _SOME_FAILED if committed.failed else _ALL_SAFE,
                UID(STORAGE_COMMITMENT),
                UID(INSTANCE),
            )
        except (ValueError, RuntimeError) as error:  # the peer did not take the role, or is gone
            raise Unavailable("The peer takes no reports.") from error
    return "Status" in status and status.Status == SUCCESS


def _event(pending: Pending, committed: Committed) -> Dataset:
    data = Dataset()
    data.TransactionUID = pending.transaction
    if committed.safe:
        data.ReferencedSOPSequence = [_item(*pair) for pair in committed.safe]
    if committed.failed:
        data.FailedSOPSequence = [_item(*one) for one in committed.failed]
    return data


def _item(sop_class: str, instance: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class
    item.ReferencedSOPInstanceUID = instance
    if reason is not None:
        item.FailureReason = reason
    return item


_DECODER: Final = msgspec.json.Decoder(Pending)
