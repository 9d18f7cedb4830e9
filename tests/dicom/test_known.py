"""What is known of elements: the same is read with it as without, of whatever is sent."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirserver.dicom import reader
from fhirserver.dicom.header import HeaderScan, read_header
from fhirserver.dicom.known import Known
from fhirserver.dicom.transfer_syntax import EXPLICIT_LITTLE
from fhirserver.dicom.unreadable import Unreadable

TAGS = [
    *(0x00080000, 0x00080005, 0x00080016, 0x00080018, 0x00090010, 0x00091001, 0x00100010),
    *(0x0020000D, 0x00280103, 0x00280106, 0x00400275, 0x7FDF0010, 0x7FE00009, 0x7FE00010),
    *(0x80000000, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD),
]
SHORT = [b"AE", b"AT", b"CS", b"DA", b"DS", b"FD", b"IS", b"LO", b"PN", b"SH", b"UI", b"US"]
LONG = [b"OB", b"OW", b"UC", b"UN", b"UT"]
VALUES = [
    *(
        b"",
        b"A ",
        b"1.5\\2 ",
        b"1.2.3\0",
        b"\x01\0",
        b"\xc4\xd6",
        b"\x1b$B;3ED\x1b(B",
        b"\0\0\xc0\x7f",
    ),
    *(b"x" * 126, b"x" * 128, b"x" * 130, b"y" * 1030, b"CS\x02\0" * 4),
]
SETS = [b"", b"ISO_IR 100", b"ISO_IR 192", b"ISO_IR 13 ", b"\\ISO 2022 IR 87 ", b"GB18030 "]


def short(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def long(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, size) + value


def sequence(items: list[list[bytes]], vr: bytes, is_open: bool, has_open_items: bool) -> bytes:
    value = b""
    for item in items:
        whole = b"".join(item)
        size = 0xFFFFFFFF if has_open_items else len(whole)
        value += struct.pack("<HHI", 0xFFFE, 0xE000, size) + whole
        value += struct.pack("<HHI", 0xFFFE, 0xE00D, 0) if has_open_items else b""
    if is_open:
        return long(0x00081140, vr, value + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), 0xFFFFFFFF)
    return long(0x00081140, vr, value)


SIMPLE = st.builds(short, st.sampled_from(TAGS), st.sampled_from(SHORT), st.sampled_from(VALUES))
ELEMENT = st.recursive(
    SIMPLE
    | SIMPLE
    | st.builds(short, st.just(0x00080005), st.just(b"CS"), st.sampled_from(SETS))
    | st.builds(long, st.sampled_from(TAGS), st.sampled_from(LONG), st.sampled_from(VALUES)),
    lambda inner: (
        inner
        | st.builds(
            sequence,
            st.lists(st.lists(inner, max_size=6), max_size=3),
            st.sampled_from([b"SQ", b"SQ", b"UN"]),
            st.booleans(),
            st.booleans(),
        )
    ),
    max_leaves=12,
)
STEPS = [1 << 20, 977, 64, 7]


def scanned(data: bytes, known: Known | None, step: int) -> Any:
    """The header of a data set that comes in pieces; None where it is refused."""
    scan = HeaderScan(EXPLICIT_LITTLE, (), known)
    try:
        for at in range(0, len(data), step):
            scan.feed(data[at : at + step])
        return scan.finish()
    except Unreadable:
        return None


def whole(data: bytes) -> Any:
    try:
        return read_header(data, EXPLICIT_LITTLE)
    except Unreadable:
        return None


@given(st.lists(ELEMENT, min_size=3, max_size=14), st.booleans(), st.data())
@settings(deadline=None)
def test_what_is_known_changes_nothing(
    elements: list[bytes], are_in_order: bool, data: st.DataObject
) -> None:
    """Elements that are missing, repeated, out of order, over-long, cut off, or read by another
    character set than in the data set before."""
    if are_in_order:
        elements.sort(key=lambda one: struct.unpack_from("<HH", one))
    known = Known()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reader, "_WORTH", 16)  # short runs as well
        for _ in range(data.draw(st.integers(2, 5))):
            missing = data.draw(st.sets(st.integers(0, len(elements) - 1), max_size=2))
            sent = b"".join(one for at, one in enumerate(elements) if at not in missing)
            if data.draw(st.integers(0, 5)) == 0:
                sent = sent[: data.draw(st.integers(0, len(sent)))]
            expected = whole(sent)
            step = data.draw(st.sampled_from(STEPS))
            assert scanned(sent, known, step) == scanned(sent, None, step) == expected
