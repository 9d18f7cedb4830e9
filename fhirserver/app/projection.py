"""The projection of a tenant's studies, by its settings and peers; the key of its pseudonyms."""

from __future__ import annotations

import secrets
from typing import Final

from fhirserver.app.ids import now
from fhirserver.archive.port import Archive
from fhirserver.dicom.mapping.issuers import Issuers
from fhirserver.imaging.dimse.peers import Peers
from fhirserver.imaging.projection.following import Following
from fhirserver.imaging.projection.gate import Dispatch, Gate
from fhirserver.imaging.projection.lease import Lease
from fhirserver.imaging.projection.projector import Projector
from fhirserver.imaging.projection.study import Assumed, Projection, Sender
from fhirserver.settings import Settings
from fhirserver.store.port import ServerStore, Stale
from fhirserver.store.records import ABSENT, Records

COLLECTION: Final = "imaging.deidentification"
_KEY: Final = "key"
_FHIR: Final = "/fhir"
_DICOM_WEB: Final = "/dicom-web"


def projector_of(
    settings: Settings, archive: Archive, store: ServerStore, dispatch: Dispatch, base: str
) -> Projector:
    """The projector of a tenant, not started. `base` is its service base URL."""
    gate = Gate(dispatch, base)
    address = f"{base.removesuffix(_FHIR)}{_DICOM_WEB}"
    projection = Projection(
        archive,
        store.records,
        gate,
        issuers_of(settings),
        sender_of(settings, store.records),
        address,
    )
    following = Following(archive, store, gate, now)
    lease = Lease(store.records, secrets.token_hex(8), now)
    return Projector(archive, projection, following, lease, now)


def issuers_of(settings: Settings) -> Issuers:
    """The identifier systems that the settings name."""
    pairs = (pair.partition("=") for pair in settings.dicom_issuers)
    return Issuers(
        {issuer: system for issuer, _, system in pairs},
        settings.dicom_patient_system,
        settings.dicom_accession_system,
        settings.dicom_admission_system,
    )


def sender_of(settings: Settings, records: Records) -> Sender:
    """What is assumed of senders: what their peer says, else the settings."""
    peers = Peers(records, now=now)

    async def assumed(title: str) -> Assumed:
        peer = await peers.get(title) if title else None
        if peer is None:
            return Assumed("", settings.dicom_time_zone)
        return Assumed(peer.issuer or "", peer.time_zone or settings.dicom_time_zone)

    return assumed


class PseudonymKey:
    """The key of a tenant's de-identified copies: made when it is first needed, then the same."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def __call__(self) -> bytes:
        while True:
            record = await self._records.get(COLLECTION, _KEY)
            if record is not None:
                return record.body
            try:
                await self._records.put(COLLECTION, _KEY, secrets.token_bytes(32), expected=ABSENT)
            except Stale:
                continue
