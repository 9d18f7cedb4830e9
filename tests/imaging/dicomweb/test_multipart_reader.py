"""Bodies of parts: whatever the pieces they arrive in, the parts are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.errors import FhirError, Invalid, TooLarge
from fhirserver.imaging.dicomweb.multipart_reader import (
    MAX_PART_HEAD,
    MultipartReader,
    PartBegins,
    PartData,
    PartEnds,
)
from fhirserver.imaging.dicomweb.multipart_writer import MultipartWriter

BOUNDARY = "b0undary"
CONTENT = st.lists(
    st.sampled_from(
        [b"\r\n", b"--", b"\r", b"\n", b"-", b"--b0undar", b"\r\n--b0undar", b"x", b"\0"]
    ),
    max_size=12,
).map(b"".join)


def read(pieces: list[bytes], boundary: str = BOUNDARY) -> list[tuple[dict[str, str], bytes]]:
    reader = MultipartReader(boundary)
    parts: list[tuple[dict[str, str], bytes]] = []
    is_open = False
    for piece in pieces:
        for event in reader.feed(piece):
            if isinstance(event, PartBegins):
                assert not is_open
                is_open = True
                parts.append((dict(event.headers), b""))
            elif isinstance(event, PartData):
                assert is_open
                assert event.data
                parts[-1] = (parts[-1][0], parts[-1][1] + event.data)
            else:
                assert isinstance(event, PartEnds)
                is_open = False
    reader.close()
    assert not is_open
    return parts


def body_of(contents: list[bytes], type: str = "application/dicom") -> bytes:
    writer = MultipartWriter(BOUNDARY, type)
    return b"".join(writer.head(type) + content for content in contents) + writer.end


def cut(body: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(body) + 1) for place in places})
    return [body[a:b] for a, b in zip([0, *at], [*at, len(body)], strict=True)]


@given(st.lists(CONTENT, max_size=4), st.lists(st.integers(0, 10_000), max_size=20))
def test_what_is_written_is_read_however_it_is_cut(
    contents: list[bytes], places: list[int]
) -> None:
    parts = read(cut(body_of(contents), places))
    assert [content for _, content in parts] == contents
    assert all(headers == {"content-type": "application/dicom"} for headers, _ in parts)


@given(CONTENT)
def test_one_byte_at_a_time(content: bytes) -> None:
    body = body_of([content, b"second"])
    assert [c for _, c in read([bytes([b]) for b in body])] == [content, b"second"]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_garbage_is_refused_or_read_but_never_fails(body: bytes, places: list[int]) -> None:
    try:
        read(cut(body.replace(b"x", b"--b0undary"), places))
    except FhirError as refusal:
        assert refusal.status in (400, 413)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b0undary",
        b"--b0undary\r\n",
        b"--b0undary\r\nContent-Type: a/b\r\n\r\nx",
        b"--b0undary\r\nContent-Type: a/b\r\n\r\nx\r\n--b0undary",
        b"--b0undary\r\nno header\r\n\r\nx\r\n--b0undary--",
        b"--b0undaryx\r\n\r\nx\r\n--b0undary--",
        b"x" * 100_000,
    ],
)
def test_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        read([body])


def test_preamble_epilogue_and_padding_are_passed_over() -> None:
    body = b"preamble\r\n--b0undary \t\r\n\r\ncontent\r\n--b0undary--\r\nepilogue --b0undary"
    assert read([body]) == [({}, b"content")]


def test_header_names_are_in_lower_case_and_the_first_counts() -> None:
    body = b"--b0undary\r\nCONTENT-TYPE:  a/b \r\ncontent-type: c/d\r\n\r\n\r\n--b0undary--"
    assert read([body]) == [({"content-type": "a/b"}, b"")]


def test_headers_without_end_are_refused() -> None:
    with pytest.raises(TooLarge):
        read([b"--b0undary\r\nA: " + b"x" * MAX_PART_HEAD])


@pytest.mark.parametrize(
    "boundary",
    ["", "x" * 201, "ends in blank ", 'q"uote', "line\r\nbreak", "ends in \xe9", "ends in \0"],
)
def test_boundaries_that_are_none(boundary: str) -> None:
    with pytest.raises(Invalid):
        MultipartReader(boundary)


def test_a_boundary_as_long_as_orthanc_makes_them() -> None:
    boundary = "c82781ab-9aef-45fe-b0f6-91aee183ca3a-c82781ab-9aef-45fe-b0f6-91aee183ca3a"
    body = f"--{boundary}\r\n\r\nx\r\n--{boundary}--".encode()
    assert read([body], boundary) == [({}, b"x")]


def test_memory_does_not_grow_with_the_part() -> None:
    reader = MultipartReader(BOUNDARY)
    list(reader.feed(b"--b0undary\r\n\r\n"))
    piece = b"\r\n--" * 16_384
    for _ in range(20):
        assert sum(len(e.data) for e in reader.feed(piece) if isinstance(e, PartData))
        assert len(reader._buffer) < 64
