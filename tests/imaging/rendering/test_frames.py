"""Where frames are, held against pydicom on the files that come with it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pydicom.data
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames

from fhirserver.dicom.header import read_header
from fhirserver.dicom.part10 import read_file_meta
from fhirserver.dicom.pixels import Pixels, pixels_of
from fhirserver.errors import FhirError, NotFound, Unprocessable
from fhirserver.imaging.rendering.frames import Frames, Shape, frames, unwrapped

FILES = Path(pydicom.data.__file__).parent / "test_files"
NAMES = [
    "CT_small.dcm",
    "SC_rgb_rle_2frame.dcm",
    "rtdose_rle.dcm",
    "examples_ybr_color.dcm",
    "JPEG2000.dcm",
    "MR_small_bigendian.dcm",
    "ExplVR_BigEnd.dcm",
    "liver_1frame.dcm",
    "rtdose.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
]


def found(data: bytes, pixels: Pixels, syntax: str, shape: Shape) -> Frames:
    asking = frames(pixels, syntax, shape)
    try:
        piece = next(asking)
        while True:
            piece = asking.send(data[piece.start : piece.start + piece.length])
    except StopIteration as stop:
        value: Frames = stop.value
        return value


def all_frames(data: bytes, located: Frames) -> Iterator[bytes]:
    for number in range(1, located.count + 1):
        span = located.span(number)
        part = data[span.start : span.start + span.length]
        yield unwrapped(part) if located.is_encapsulated else located.native(part, span)


def opened(name: str) -> tuple[bytes, Any, Frames]:
    path = next(FILES.rglob(name))
    data = path.read_bytes()
    meta = read_file_meta(data)
    pixels = pixels_of(read_header(data, meta.transfer_syntax, start=meta.start), meta.start)
    assert pixels is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path)
    shape = Shape(
        dataset.Rows,
        dataset.Columns,
        dataset.SamplesPerPixel,
        dataset.BitsAllocated,
        int(dataset.get("NumberOfFrames") or 1),
        dataset.PhotometricInterpretation,
    )
    return data, dataset, found(data, pixels, meta.transfer_syntax, shape)


@pytest.mark.parametrize("name", NAMES)
def test_frames_are_those_of_pydicom(name: str) -> None:
    data, dataset, located = opened(name)
    ours = list(all_frames(data, located))
    if located.is_encapsulated:
        assert ours == list(generate_frames(dataset.PixelData, number_of_frames=located.count))
        return
    expected = dataset.PixelData
    if located.transfer_syntax == "1.2.840.10008.1.2.2" and dataset.BitsAllocated == 16:
        swapped = bytearray(expected)
        swapped[::2], swapped[1::2] = expected[1::2], expected[::2]
        expected = bytes(swapped)
    whole = b"".join(ours)
    assert expected[: len(whole)] == whole
    assert len(expected) - len(whole) in (0, 1)


CONTENT = st.binary(min_size=2, max_size=40).map(lambda data: b"\xff\xd8" + data)


def wrapped(value: bytes, table: bytes = b"") -> tuple[bytes, Pixels]:
    start = 32 + len(table)
    head = b"x" * 20 + table + b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff"
    data = head + value + b"\xfe\xff\xdd\xe0\0\0\0\0" + b"trailing"
    return data, Pixels(len(head) - 12, start, None, "OB")


@given(
    st.lists(CONTENT, min_size=1, max_size=6),
    st.integers(1, 3),
    st.sampled_from(["none", "basic", "extended"]),
)
def test_offset_tables_and_fragments(contents: list[bytes], fragments: int, kind: str) -> None:
    table = b""
    if kind == "extended":
        value, offsets, lengths = encapsulate_extended(contents)
        for number, text in ((1, offsets), (2, lengths)):
            table += b"\xe0\x7f" + bytes([number, 0]) + b"OV\0\0"
            table += len(text).to_bytes(4, "little") + text
    else:
        count = 1 if any(len(one) < 2 * fragments for one in contents) else fragments
        value = encapsulate(contents, count, has_bot=kind == "basic")
    data, pixels = wrapped(value, table)
    located = found(data, pixels, "1.2.840.10008.1.2.4.50", Shape(1, 1, frames=len(contents)))
    padded = [one + b"\0" * (len(one) % 2) for one in contents]
    assert list(all_frames(data, located)) == padded


@given(st.binary(max_size=120), st.integers(1, 5))
def test_what_is_no_pixels_is_refused(value: bytes, count: int) -> None:
    data, pixels = wrapped(value)
    try:
        located = found(data, pixels, "1.2.840.10008.1.2.4.50", Shape(1, 1, frames=count))
    except FhirError as refusal:
        assert refusal.status == 422
    else:
        assert located.count == count


def test_single_bits_that_begin_within_a_byte() -> None:
    bits = [(i * 7 + i // 5) % 2 for i in range(3 * 25)]
    packed = sum(bit << i for i, bit in enumerate(bits)).to_bytes(10, "little")
    located = found(
        packed, Pixels(0, 0, 10, "OB"), "1.2.840.10008.1.2.1", Shape(5, 5, 1, 1, frames=3)
    )
    for index, frame in enumerate(all_frames(packed, located)):
        assert int.from_bytes(frame, "little") == sum(
            bit << i for i, bit in enumerate(bits[25 * index : 25 * index + 25])
        )


def test_frames_that_are_not_there() -> None:
    _, _, located = opened("SC_rgb_rle_2frame.dcm")
    for number in (0, 3, 10**9):
        with pytest.raises(NotFound):
            located.span(number)


@pytest.mark.parametrize("shape", [Shape(0, 5), Shape(5, 5, frames=0), Shape(100, 100, frames=9)])
def test_attributes_that_do_not_fit(shape: Shape) -> None:
    with pytest.raises(Unprocessable):
        found(b"", Pixels(0, 0, 1000, "OW"), "1.2.840.10008.1.2.1", shape)
