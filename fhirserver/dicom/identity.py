"""What a data set is: the UIDs that every composite instance has (PS3.3 C.7, C.12.1)."""

from __future__ import annotations

from typing import NamedTuple

from fhirserver.dicom.header import Header
from fhirserver.dicom.part10 import may_be_uid
from fhirserver.dicom.unreadable import Unreadable


class Identity(NamedTuple):
    study: str
    series: str
    instance: str
    sop_class: str


class Mismatch(Unreadable):
    """The data set is another instance, or of another SOP class, than was announced."""


def identity_of(header: Header, sop_class: str = "", instance: str = "") -> Identity:
    """The UIDs of a data set. Raises `Unreadable` where one is missing or is no UID, `Mismatch`
    where they are not those announced (in a C-STORE-RQ, or in File Meta Information)."""
    found = Identity(
        header.text("0020000D"),
        header.text("0020000E"),
        header.text("00080018"),
        header.text("00080016"),
    )
    for name, uid in zip(_NAMES, found, strict=True):
        if not may_be_uid(uid):
            raise Unreadable(f"The data set has no {name}, or one that is no UID.")
    if instance and found.instance != instance:
        raise Mismatch("The data set has another SOP Instance UID than was announced.")
    if sop_class and found.sop_class != sop_class:
        raise Mismatch("The data set has another SOP Class UID than was announced.")
    return found


_NAMES = ("Study Instance UID", "Series Instance UID", "SOP Instance UID", "SOP Class UID")
