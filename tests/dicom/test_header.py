"""The header as DICOM JSON: dcmtk's and pydicom's as oracles, and what is refused."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pydicom
import pytest
from dicom.bundled import FILES, flattened, name
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from fhirserver.dicom.header import Header, HeaderScan, read_header
from fhirserver.dicom.known import Known
from fhirserver.dicom.part10 import read_file_meta
from fhirserver.dicom.transfer_syntax import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
)
from fhirserver.dicom.unreadable import NeedMore, Unreadable

REFUSED = {
    "test_files/MR_truncated.dcm",
    "test_files/rtplan_truncated.dcm",
    "test_files/meta_missing_tsyntax.dcm",
    "test_files/dicomdirtests/DICOMDIR-nooffset",  # an item that is longer than its sequence
}
READABLE = [path for path in FILES if name(path) not in REFUSED]


def header_of(path: Path) -> Header:
    raw = path.read_bytes()
    meta = read_file_meta(raw)
    return read_header(raw, meta.transfer_syntax, start=meta.start)


def written(dataset: Dataset, *, little: bool = True, implicit: bool = False) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = little, implicit
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT"):
        return head + struct.pack("<HI", 0, size) + value
    return head + struct.pack("<H", size) + value


@pytest.mark.skipif(not shutil.which("dcm2json"), reason="dcmtk is not installed")
def test_is_what_dcm2json_says() -> None:
    compared = 0
    for path in READABLE:
        told = subprocess.run(["dcm2json", "-fc", str(path)], capture_output=True, check=False)
        if told.returncode or b"\xd4" in told.stdout:
            continue  # compressed pixel data, or a character set that its iconv has not
        compared += 1
        expected = flattened(json.loads(told.stdout))
        assert flattened(header_of(path).dataset) == expected, name(path)
    assert compared > 130


@pytest.mark.parametrize("path", READABLE, ids=name)
@pytest.mark.filterwarnings("ignore")
def test_has_what_pydicom_reads(path: Path) -> None:
    """Every element, its values as text; pydicom's own DICOM JSON fails on several files."""
    header = header_of(path)
    assert json.loads(header.json) == header.dataset
    _compare(pydicom.dcmread(path), header.dataset)


def _compare(expected: Dataset, found: dict) -> None:
    tags = [item.tag for item in expected if item.tag.element and item.tag <= 0x7FE00010]
    assert [f"{tag:08X}" for tag in sorted(tags)] == list(found)
    for tag in tags:
        item, attribute = expected[tag], found[f"{tag:08X}"]
        if attribute["vr"] == "UN":
            continue  # private, or a sequence that somebody on the way did not know: kept
        if item.VR == "SQ":
            items = attribute.get("Value", [])
            assert len(items) == len(item.value)
            for one, other in zip(item.value, items, strict=True):
                _compare(one, other)
        elif item.VR == "PN":
            names = [item.value] if item.VM == 1 else list(item.value or [])
            for one, other in zip(names, attribute.get("Value", []), strict=False):
                groups = [part for part in str(one).split("=") if part.strip()]
                assert [part.strip() for part in groups] == list((other or {}).values())
        elif item.VR in ("LO", "SH", "LT", "ST", "UT", "UC", "CS", "UI", "DA", "TM"):
            if tag == 0x00080005:
                continue
            values = [item.value] if isinstance(item.value, str) else list(item.value or [])
            texts = [one or "" for one in attribute.get("Value", [])]
            if "BulkDataURI" not in attribute:
                assert [one.strip() for one in texts] == [
                    str(one).strip("\0").strip() for one in values if one or len(values) > 1
                ]


@pytest.mark.parametrize("path", READABLE, ids=name)
def test_is_the_same_in_pieces(path: Path) -> None:
    raw = path.read_bytes()
    meta = read_file_meta(raw)
    data = memoryview(raw)[meta.start :]
    expected = read_header(data, meta.transfer_syntax)
    for size in (1000, 16_384):
        scan = HeaderScan(meta.transfer_syntax)
        for at in range(0, len(data), size):
            scan.feed(data[at : at + size])
        assert scan.finish() == expected


def test_what_is_known_changes_nothing() -> None:
    """Of all files by one sender, in two orders: known elements are read as unknown ones are."""
    known = Known()
    for path in [*READABLE, *reversed(READABLE)]:
        raw = path.read_bytes()
        meta = read_file_meta(raw)
        scan = HeaderScan(meta.transfer_syntax, (), known)
        scan.feed(memoryview(raw)[meta.start :])
        assert scan.finish() == read_header(raw[meta.start :], meta.transfer_syntax), path


def test_what_is_known_is_read_by_its_character_set() -> None:
    known = Known()
    for declared, expected in (("ISO_IR 100", "Ä"), ("ISO_IR 144", "Ф"), ("ISO_IR 100", "Ä")):
        data = Dataset()
        data.SpecificCharacterSet = declared
        data.SeriesDescription = expected
        scan = HeaderScan(EXPLICIT_LITTLE, (), known)
        scan.feed(written(data))
        assert scan.finish().text("0008103E") == expected


@given(
    st.lists(
        st.dictionaries(st.integers(1, 24), st.sampled_from("abc"), min_size=1),
        min_size=2,
        max_size=12,
    )
)
def test_elements_that_followed_each_other_are_not_expected_to(
    sets: list[dict[int, str]],
) -> None:
    """Instances that have elements more, less, or with another value than those before."""
    known = Known()
    for elements in [*sets, *sets]:
        data = Dataset()
        for number, value in elements.items():
            data.add_new(0x00090010 + number // 12 * 0x20000 + number % 12, "LO", value * 30)
        raw = written(data)
        scan = HeaderScan(EXPLICIT_LITTLE, (), known)
        scan.feed(raw)
        assert scan.finish() == read_header(raw, EXPLICIT_LITTLE)


@pytest.mark.parametrize("tag", [0x7FE00010, 0x7FE00008])
def test_an_element_of_an_item_is_not_known_as_pixel_data(tag: int) -> None:
    element = struct.pack("<HH2sHH", tag >> 16, tag & 0xFFFF, b"US", 2, 7)
    item = struct.pack("<HH2sHIHHI", 8, 0x1140, b"SQ", 0, 8 + len(element), 0xFFFE, 0xE000, 10)
    known = Known()
    for data in (item + element, element):
        scan = HeaderScan(EXPLICIT_LITTLE, (), known)
        scan.feed(data)
        assert scan.finish() == read_header(data, EXPLICIT_LITTLE)


def test_many_known_elements_are_forgotten() -> None:
    known = Known()
    for number in range(5000):
        data = Dataset()
        data.InstanceNumber = number
        scan = HeaderScan(EXPLICIT_LITTLE, (), known)
        scan.feed(written(data))
        assert scan.finish().dataset["00200013"]["Value"] == [number]
    assert len(known.of("ascii")) < 2500


@pytest.mark.parametrize("refused", sorted(REFUSED))
def test_refuses_what_is_cut_or_broken(refused: str) -> None:
    with pytest.raises(Unreadable):
        header_of(next(path for path in FILES if name(path) == refused))


def test_places_pixel_data_and_long_values() -> None:
    data = Dataset()
    data.add_new(0x00091001, "OB", b"\1" * 2000)
    data.add_new(0x7FE00010, "OW", b"\2" * 64)
    raw = written(data)
    header = read_header(raw, EXPLICIT_LITTLE)
    assert header.dataset["00091001"] == {"vr": "OB", "BulkDataURI": "bulkdata/00091001"}
    long, pixels = header.bulk["00091001"], header.pixels
    assert raw[long.start :][: long.length] == b"\1" * 2000
    assert pixels is not None and raw[pixels.start :][: pixels.length] == b"\2" * 64
    assert header.pixel_data is not None
    assert raw[header.pixel_data :][:4] == bytes.fromhex("e07f1000")
    moved = read_header(b"meta" + raw, EXPLICIT_LITTLE, start=4)
    assert (moved.pixel_data, moved.pixels, moved.bulk) == (
        header.pixel_data,
        header.pixels,
        header.bulk,
    )


def test_values_beside_json_are_bulk_data() -> None:
    data = Dataset()
    data.add_new(0x00189073, "FD", [1.5, float("nan")])
    data.add_new(0x00189074, "FD", float("inf"))
    found = read_header(written(data), EXPLICIT_LITTLE).dataset
    assert found["00189073"] == {"vr": "FD", "BulkDataURI": "bulkdata/00189073"}
    assert b"NaN" not in read_header(written(data), EXPLICIT_LITTLE).json
    assert "BulkDataURI" in found["00189074"]


@pytest.mark.parametrize(
    ("vr", "text", "value"),
    [
        (b"DS", b"1.50 ", 1.5),
        (b"DS", b"120 ", 120),
        (b"DS", b"1,5 ", "1,5"),
        (b"DS", b"abc ", "abc"),
        (b"DS", b"1e999 ", "1e999"),
        (b"DS", b"0.123456789012345678", "0.123456789012345678"),
        (b"IS", b"2.5 ", "2.5"),
        (b"IS", b"-7", -7),
        (b"IS", b"99999999999999999999", "99999999999999999999"),
        (b"IS", b"1_0 ", "1_0"),
    ],
)
def test_numbers_that_json_cannot_say_are_strings(vr: bytes, text: bytes, value: object) -> None:
    found = read_header(element(0x00201041, vr, text), EXPLICIT_LITTLE).dataset
    assert found["00201041"]["Value"] == [value]


@pytest.mark.parametrize(
    ("declared", "raw", "text"),
    [
        ("", b"M\xfcller", "Müller"),
        ("", "Müller".encode(), "Müller"),
        ("ISO_IR 100", b"M\xfcller", "Müller"),
        ("ISO_IR 192", b"M\xfcller", "M�ller"),
        ("ISO IR 100", b"M\xfcller", "Müller"),
        ("NO SUCH SET", b"M\xfcller", "Müller"),
        ("ISO_IR 144", "Люкс".encode("iso8859_5"), "Люкс"),
        ("GB18030", "王小东".encode("gb18030"), "王小东"),
        ("\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B", "山田"),
        ("\\ISO 2022 IR 149", b"\x1b$)C\xb1\xe8\xc8\xf1", "김희"),
    ],
)
def test_text_is_utf8_whatever_was_declared(declared: str, raw: bytes, text: str) -> None:
    even = declared + " " * (len(declared) % 2)
    padded = raw + b" " * (len(raw) % 2)
    data = element(0x00080005, b"CS", even.encode()) + element(0x00081030, b"LO", padded)
    found = read_header(data, EXPLICIT_LITTLE).dataset
    assert found["00080005"]["Value"] == ["ISO_IR 192"]
    assert found["00081030"]["Value"] == [text]


def test_undeclared_text_is_read_as_assumed() -> None:
    data = element(0x00081030, b"LO", "Люкс".encode("iso8859_5"))
    found = read_header(data, EXPLICIT_LITTLE, assumed=("ISO_IR 144",)).dataset
    assert found["00081030"]["Value"] == ["Люкс"]
    assert found["00080005"]["Value"] == ["ISO_IR 192"]


def test_the_groups_of_a_name() -> None:
    value = "Yamada^Tarou=山田^太郎=やまだ^たろう".encode()
    data = element(0x00080005, b"CS", b"ISO_IR 192") + element(
        0x00100010, b"PN", value + b" " * (len(value) % 2)
    )
    assert read_header(data, EXPLICIT_LITTLE).dataset["00100010"]["Value"] == [
        {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    ]


ITEM = bytes.fromhex("feff00e0ffffffff")
DEEP = b"".join(element(0x00081140, b"SQ", b"", 0xFFFFFFFF) + ITEM for _ in range(60))


@pytest.mark.parametrize(
    "data",
    [
        element(0x00080018, b"UI", b"1.2", 60_000),
        element(0x00420011, b"OB", b"", 0xFFFFFFFE),
        element(0x00420011, b"OB", b"", 0xFFFFFFFF),
        element(0x00081140, b"SQ", b"\0" * 8),
        element(0x00081140, b"SQ", ITEM, 0xFFFFFFFF),
        element(0x00081140, b"SQ", bytes.fromhex("feff00e0ffffff00")),
        DEEP,
        b"\x08",
        b"not a data set at all, but text",
    ],
)
def test_broken_data_sets_are_refused_and_never_told(data: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        read_header(data, EXPLICIT_LITTLE)
    assert "text" not in refused.value.text


@given(
    st.binary(max_size=300),
    st.sampled_from([EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED]),
)
def test_bytes_of_any_kind_are_read_or_refused(data: bytes, transfer_syntax: str) -> None:
    try:
        header = read_header(data, transfer_syntax)
    except Unreadable:
        return
    json.loads(header.json)


@given(st.sampled_from(READABLE), st.data())
def test_a_changed_byte_is_read_or_refused(path: Path, data: st.DataObject) -> None:
    raw = bytearray(path.read_bytes()[:6000])
    meta = read_file_meta(raw)
    at = data.draw(st.integers(meta.start, len(raw) - 1))
    raw[at] = data.draw(st.integers(0, 255))
    try:
        header = read_header(raw, meta.transfer_syntax, start=meta.start, whole=False)
    except (Unreadable, NeedMore):
        return
    json.loads(header.json)


def test_a_deflated_bomb_is_refused() -> None:
    bomb = zlib.compressobj(wbits=-15)
    # Elements of no known end: the header never is over.
    one = element(0x00091001, b"UT", b"x" * 60_000)
    data = b"".join(bomb.compress(one) for _ in range(3000)) + bomb.flush()
    assert len(data) < 2**20
    with pytest.raises(Unreadable):
        read_header(data, DEFLATED)
    scan = HeaderScan(DEFLATED)
    with pytest.raises(Unreadable):
        scan.feed(data)


texts = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=20)


@given(
    description=texts,
    names=st.lists(texts, min_size=1, max_size=3),
    numbers=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=4),
    floats=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=4),
    private=st.binary(max_size=40),
    form=st.sampled_from([(True, True), (True, False), (False, False)]),
)
def test_what_was_written_is_read(description, names, numbers, floats, private, form) -> None:
    data, item = Dataset(), Dataset()
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SeriesDescription = description
    data.OtherPatientNames = names
    data.add_new(0x00186020, "SL", numbers)
    data.add_new(0x00189073, "FD", floats)
    item.StudyDescription = description
    data.ReferencedStudySequence = [item, Dataset()]
    little, implicit = form
    if little and not implicit:
        data.add_new(0x00091010, "UN", private)
    raw = written(data, little=little, implicit=implicit)
    uid = IMPLICIT_LITTLE if implicit else EXPLICIT_LITTLE if little else EXPLICIT_BIG
    found = read_header(raw, uid).dataset
    assert found["0008103E"]["Value"] == [description]
    assert found["00101001"]["Value"] == [{"Alphabetic": one} for one in names]
    assert found["00186020"]["Value"] == numbers
    assert found["00189073"]["Value"] == floats
    assert found["00081110"]["Value"] == [
        {"00081030": {"vr": "LO", "Value": [description]}},
        {},
    ]
