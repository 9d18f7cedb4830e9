"""Accept headers as viewers send them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.errors import FhirError, Invalid, NotAcceptable
from fhirserver.imaging.dicomweb.accept import (
    ANY,
    DICOM,
    DICOM_JSON,
    DICOM_XML,
    OCTETS,
    ContentType,
    Wanted,
    content_type,
    in_xml,
    wanted,
)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, [Wanted(ANY, None)]),
        (b"", [Wanted(ANY, None)]),
        (b"*/*", [Wanted(ANY, None)]),
        (b"*/*; transfer-syntax=*", [Wanted(ANY, None, "*")]),
        # OHIF, for frames
        (
            b"multipart/related; type=application/octet-stream; transfer-syntax=*",
            [Wanted(OCTETS, True, "*")],
        ),
        # OHIF, for metadata
        (
            b"application/dicom+json, multipart/related; type=application/octet-stream; "
            b"transfer-syntax=*",
            [Wanted(DICOM_JSON, False), Wanted(OCTETS, True, "*")],
        ),
        # dicomweb-client
        (
            b'multipart/related; type="application/dicom"; '
            b'transfer-syntax="1.2.840.10008.1.2.4.90"',
            [Wanted(DICOM, True, "1.2.840.10008.1.2.4.90")],
        ),
        (
            b'multipart/related; type="image/jls"; transfer-syntax=1.2.840.10008.1.2.4.80;q=0.5,'
            b'multipart/related; type="image/jp2";q=0.9, image/*;q=0.9',
            [
                Wanted("image/jp2", True, None, 0.9),
                Wanted("image/*", False, None, 0.9),
                Wanted("image/jls", True, "1.2.840.10008.1.2.4.80", 0.5),
            ],
        ),
        (b"multipart/related", [Wanted(ANY, True)]),
        (b"Application/DICOM; Transfer-Syntax=*;", [Wanted(DICOM, False, "*")]),
        (b"nonsense, application/dicom", [Wanted(DICOM, False)]),
        (b"text/html;q=0, application/dicom;q=0.100", [Wanted(DICOM, False, None, 0.1)]),
        (b"application/dicom;q=7, image/png", [Wanted("image/png", False)]),
    ],
)
def test_ranges(header: bytes | None, expected: list[Wanted]) -> None:
    assert list(wanted(header)) == expected


def test_nothing_left_is_not_acceptable() -> None:
    with pytest.raises(NotAcceptable):
        wanted(b"image/png;q=0")


def test_too_long() -> None:
    with pytest.raises(Invalid):
        wanted(b"a/b," * 5000)


@given(
    st.text('abc/*;=", \\\tq0.1', max_size=60)
    | st.text(max_size=30).map(lambda text: f'multipart/related; type="{text}"')
)
def test_any_text_is_read_or_refused(text: str) -> None:
    header = text.encode("utf-8")
    try:
        assert all(one.weight > 0 and "/" in one.type for one in wanted(header))
    except FhirError as refusal:
        assert refusal.status in (400, 406)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([DICOM, OCTETS, "image/jpeg", "image/jphc", ANY, "image/*"]),
            st.booleans(),
            st.sampled_from([None, "*", "1.2.840.10008.1.2.1"]),
            st.sampled_from([1.0, 0.5, 0.25]),
            st.booleans(),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_what_is_written_is_read(choices: list[tuple[str, bool, str | None, float, bool]]) -> None:
    texts, expected = [], []
    for type, in_parts, syntax, weight, is_quoted in choices:
        quote = '"' if is_quoted else ""
        text = f"multipart/related;type={quote}{type}{quote}" if in_parts else type
        text += f"; transfer-syntax={quote}{syntax}{quote}" if syntax else ""
        texts.append(f"{text}; q={weight}")
        expected.append(Wanted(type, in_parts or (None if type == ANY else False), syntax, weight))
    expected.sort(key=lambda one: -one.weight)
    assert list(wanted(", ".join(texts).encode())) == expected


def test_metadata_in_json_or_xml() -> None:
    assert in_xml(wanted(None)) == (False, DICOM_JSON)
    assert in_xml(wanted(b"application/json")) == (False, "application/json")
    assert in_xml(wanted(b"multipart/related; type=application/dicom+xml")) == (True, DICOM_XML)
    assert in_xml(wanted(b"text/html,application/xml;q=0.9,*/*;q=0.8")) == (False, DICOM_JSON)
    with pytest.raises(NotAcceptable):
        in_xml(wanted(b"text/html"))


def test_content_types() -> None:
    parts = content_type(b"multipart/related; type=application/dicom; boundary=x--y")
    assert parts == ContentType(
        "multipart/related", {"type": "application/dicom", "boundary": "x--y"}
    )
    assert content_type(b'Multipart/Related;boundary="a;b";type="application/dicom+json"') == (
        "multipart/related",
        {"boundary": "a;b", "type": "application/dicom+json"},
    )
    assert content_type(b"none") is None
    assert content_type(None) is None


@pytest.mark.parametrize(
    "header",
    [
        b"a/b;" + b" " * 8000 + b'"x"',
        b"a/b;" + b"\t " * 4000 + b'"',
        b'"' + b'\\"' * 4000,
        b"a/b;" + b"x=y;" * 1900 + b'"',
        b'a/b;x="' + b"\\" * 8000,
        b"," * 8000,
        b"a/b=" + b" " * 8000 + b"=",
    ],
)
def test_no_header_costs_more_than_its_length(header: bytes) -> None:
    """Read in a process that has a second of processor time; the worst took minutes."""
    code = (
        "import resource, sys\n"
        "from fhirserver.errors import FhirError\n"
        "from fhirserver.imaging.dicomweb.accept import content_type, wanted\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "seconds = int(used.ru_utime + used.ru_stime) + 2\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))\n"
        "header = sys.stdin.buffer.read()\n"
        "for read in (wanted, content_type):\n"
        "    try:\n"
        "        read(header)\n"
        "    except FhirError:\n"
        "        pass\n"
    )
    subprocess.run([sys.executable, "-c", code], input=header, check=True)
