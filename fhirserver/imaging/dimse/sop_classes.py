"""Which SOP classes are storage of instances that belong to a study (PS3.4 B.5).

Known without pynetdicom, so that who only stores needs nothing of it in memory.
"""

from __future__ import annotations

from typing import Final

from fhirserver.dicom.part10 import may_be_uid

VERIFICATION: Final = "1.2.840.10008.1.1"

_DICOM: Final = "1.2.840.10008."
_STORAGE: Final = (
    "1.2.840.10008.5.1.4.1.1.",
    "1.2.840.10008.5.1.4.34.7",  # RT Beams Delivery Instruction
    "1.2.840.10008.5.1.4.34.10",  # RT Brachy Application Setup Delivery Instruction
)
_OF_PATIENTS: Final = ("1.2.840.10008.5.1.4.1.1.200.2", "1.2.840.10008.5.1.4.1.1.200.8")
# Other protocols and inventories, which belong to no study, and their query and retrieve.
_NOT: Final = ("1.2.840.10008.5.1.4.1.1.200.", "1.2.840.10008.5.1.4.1.1.201.")

_SYNTAXES: Final = ("1.2.840.10008.1.2", "1.2.840.113619.5.2")


def is_storage(sop_class: str, *, private: bool = True) -> bool:
    """Whether instances of a SOP class are stored; `private`: also those outside the standard."""
    if not sop_class.startswith(_DICOM):
        return private
    if sop_class.startswith(_NOT):
        return sop_class in _OF_PATIENTS
    return sop_class.startswith(_STORAGE)


def takes_transfer_syntax(uid: str) -> bool:
    """Whether data sets are stored under it: all of the standard, and the one of GE's."""
    return may_be_uid(uid) and (uid in _SYNTAXES or uid.startswith("1.2.840.10008.1.2."))


OTHER_SERVICES: Final = frozenset(
    (
        "1.2.840.10008.5.1.4.1.2.1.1",  # Patient Root Query/Retrieve: FIND, MOVE, GET
        "1.2.840.10008.5.1.4.1.2.1.2",
        "1.2.840.10008.5.1.4.1.2.1.3",
        "1.2.840.10008.5.1.4.1.2.2.1",  # Study Root Query/Retrieve: FIND, MOVE, GET
        "1.2.840.10008.5.1.4.1.2.2.2",
        "1.2.840.10008.5.1.4.1.2.2.3",
        "1.2.840.10008.5.1.4.31",  # Modality Worklist: FIND
        "1.2.840.10008.3.1.2.3.3",  # Modality Performed Procedure Step
        "1.2.840.10008.1.20.1",  # Storage Commitment Push Model
    )
)
"""What else is served here."""
