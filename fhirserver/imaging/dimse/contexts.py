"""Which presentation contexts a peer gets, by the services that it may ask for (PS3.8 9.3.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pydicom.uid import UID
from pynetdicom.presentation import PresentationContext

from fhirserver.dicom.transfer_syntax import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from fhirserver.imaging.dimse.peers import Peer, Service
from fhirserver.imaging.dimse.sop_classes import VERIFICATION, is_storage, takes_transfer_syntax

PATIENT_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.1.1"
PATIENT_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.1.2"
PATIENT_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.1.3"
STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
WORKLIST: Final = "1.2.840.10008.5.1.4.31"
MPPS: Final = "1.2.840.10008.3.1.2.3.3"
STORAGE_COMMITMENT: Final = "1.2.840.10008.1.20.1"

SERVICE_OF: Final[Mapping[str, Service]] = {
    VERIFICATION: "echo",
    PATIENT_ROOT_FIND: "find",
    STUDY_ROOT_FIND: "find",
    PATIENT_ROOT_MOVE: "move",
    STUDY_ROOT_MOVE: "move",
    PATIENT_ROOT_GET: "get",
    STUDY_ROOT_GET: "get",
    WORKLIST: "worklist",
    MPPS: "mpps",
    STORAGE_COMMITMENT: "commitment",
}
"""The services other than storage, by SOP class."""

UNCOMPRESSED: Final = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)


def supported(
    peer: Peer,
    proposed: Iterable[PresentationContext],
    roles: Mapping[UID, object],
    *,
    stores: bool,
    private: bool = True,
) -> list[PresentationContext]:
    """What is supported of the proposed contexts, for that peer.

    `roles` are the SOP classes with a proposed role (PS3.7 D.3.3.4): a C-GET SCU takes the SCP
    role for storage. `stores`: whether storage with the usual roles can be served here.
    `private`: also that of SOP classes outside the standard. Of several transfer syntaxes the
    first one is the sender's choice; only among uncompressed ones we have one of our own.
    """
    found: dict[str, PresentationContext] = {}
    for context in proposed:
        sop_class = str(context.abstract_syntax)
        service = SERVICE_OF.get(sop_class)
        if service is not None:
            if peer.may(service):
                found[sop_class] = _context(sop_class, UNCOMPRESSED)
            continue
        has_role = context.abstract_syntax in roles and peer.may("get")
        may_store = stores and peer.may("store")
        if not is_storage(sop_class, private=private) or not (has_role or may_store):
            continue
        known = found[sop_class].transfer_syntax if sop_class in found else []
        syntaxes = [str(uid) for uid in context.transfer_syntax if takes_transfer_syntax(str(uid))]
        offered = dict.fromkeys([*map(str, known), *syntaxes])
        if not offered:
            continue
        first = [item for item in UNCOMPRESSED if item in offered]
        if next(iter(offered)) not in UNCOMPRESSED:
            first = []  # compressed by the sender's choice
        made = _context(sop_class, tuple(dict.fromkeys([*first, *offered])))
        if has_role:
            made.scu_role, made.scp_role = may_store, True
        found[sop_class] = made
    return list(found.values())


def _context(sop_class: str, transfer_syntaxes: tuple[str, ...]) -> PresentationContext:
    context = PresentationContext()
    context.abstract_syntax = UID(sop_class)
    context.transfer_syntax = [UID(item) for item in transfer_syntaxes]
    return context
