"""DICOM files: preamble, prefix and File Meta Information in front of a data set (PS3.10 7.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from struct import Struct
from typing import Final

from fhirserver.dicom.unreadable import NeedMore, Unreadable
from fhirserver.dicom.vr import LONG

IMPLEMENTATION_CLASS_UID: Final = "2.25.271834512975461093275129876301845720913"
IMPLEMENTATION_VERSION_NAME: Final = "FHIRSERVER_1"

_PREFIX: Final = b"DICM"
_PREAMBLE: Final = 128
_META: Final = 65_536  # bytes of File Meta Information that are read at the most
_HEAD: Final = Struct("<HH2sH")
_LONG_LENGTH: Final = Struct("<I")
_UID: Final = re.compile(r"(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*))+")
_LOOSE_UID: Final = re.compile(r"[0-9][0-9.]*")  # never a path such as `..`


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What a file says of its data set. `start`: where that begins in the file.

    The UIDs are as they stand there, and may be empty; the transfer syntax is one in any case.
    """

    sop_class: str
    instance: str
    transfer_syntax: str
    start: int


def read_file_meta(data: bytes | bytearray | memoryview, *, whole: bool = True) -> FileMeta:
    """Of the first bytes of a file. `whole`: they are all of it.

    Raises `Unreadable` for what is no DICOM file, or tells no transfer syntax; `NeedMore`.
    """
    if len(data) < _PREAMBLE + 4:
        raise _short(_PREAMBLE + 4, whole=whole)
    if bytes(data[_PREAMBLE : _PREAMBLE + 4]) != _PREFIX:
        raise Unreadable("This is no DICOM file: it has no DICM prefix behind a preamble.")
    at = _PREAMBLE + 4
    found: dict[int, str] = {}
    while at < len(data) or not whole:
        if at + 12 > len(data):
            if whole:
                break
            raise NeedMore(at + 12)
        group, number, vr, length = _HEAD.unpack_from(data, at)
        if group != 2:
            break
        value = at + 8
        if vr in LONG:
            (length,) = _LONG_LENGTH.unpack_from(data, value)
            value += 4
        at = value + length
        if at > _META:
            raise Unreadable("The File Meta Information is too long.")
        if at > len(data):
            raise _short(at, whole=whole)
        if vr == b"UI":
            found[number] = bytes(data[value:at]).decode("latin_1").strip(" \0")
    if not may_be_uid(found.get(0x10, "")):
        raise Unreadable("The File Meta Information tells no transfer syntax.")
    return FileMeta(found.get(0x02, ""), found.get(0x03, ""), found[0x10], at)


def written_file_meta(sop_class: str, instance: str, transfer_syntax: str) -> bytes:
    """Preamble, prefix and File Meta Information of our own, for a data set that follows.

    A function of the instance alone, so that the same data set is the same file by whatever way
    it comes; and no preamble of others, which may hide another file (PS3.10 7.1).
    """
    elements = b"".join(
        (
            _element(0x01, b"OB", b"\0\1"),
            _element(0x02, b"UI", sop_class.encode("ascii")),
            _element(0x03, b"UI", instance.encode("ascii")),
            _element(0x10, b"UI", transfer_syntax.encode("ascii")),
            _element(0x12, b"UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
            _element(0x13, b"SH", IMPLEMENTATION_VERSION_NAME.encode("ascii")),
        )
    )
    length = _element(0x00, b"UL", _LONG_LENGTH.pack(len(elements)))
    return bytes(_PREAMBLE) + _PREFIX + length + elements


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr in (b"UI", b"OB") else b" "
    if vr in LONG:
        return _HEAD.pack(2, number, vr, 0) + _LONG_LENGTH.pack(len(value)) + value
    return _HEAD.pack(2, number, vr, len(value)) + value


def is_uid(text: str) -> bool:
    """Whether that is a UID by the rules of PS3.5 9.1."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def may_be_uid(text: str) -> bool:
    """The same, but for leading zeros in components, which devices do send."""
    return 0 < len(text) <= 64 and _LOOSE_UID.fullmatch(text) is not None


def _short(size: int, *, whole: bool) -> Exception:
    return Unreadable("The file ends before its data set begins.") if whole else NeedMore(size)
