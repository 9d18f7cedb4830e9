"""What the text of a key means."""

from __future__ import annotations

import pytest

from fhirserver.dicom.matching import (
    AnyOf,
    Exactly,
    Item,
    Key,
    Person,
    Range,
    Wildcard,
    key,
    sequence_key,
)
from fhirserver.errors import Invalid


@pytest.mark.parametrize(
    ("vr", "text", "condition"),
    [
        ("LO", "P1", Exactly("P1")),
        ("LO", " P1 ", Exactly("P1")),
        ("LO", "P*", Wildcard("P*")),
        ("SH", "A?", Wildcard("A?")),
        ("CS", "CT\\MR", AnyOf(("CT", "MR"))),
        ("LT", "a\\b", Exactly("a\\b")),
        ("UI", "1.2", Exactly("1.2")),
        ("UI", "1.2\\1.3", AnyOf(("1.2", "1.3"))),
        ("UI", "1.2,1.3", AnyOf(("1.2", "1.3"))),
        ("DA", "20240102", Range("20240102", "20240102")),
        ("DA", "20240102-20240201", Range("20240102", "20240201")),
        ("DA", "-20240201", Range("", "20240201")),
        ("DA", "20240102-", Range("20240102", "")),
        ("DA", "2024-01-02", Range("2024-01-02", "2024-01-02")),
        ("TM", "10-1130", Range("10", "1130")),
        ("DT", "20240102-0500", Range("20240102-0500", "20240102-0500")),
        ("DT", "2023-2024", Range("2023-2024", "2023-2024")),
        ("DT", "20230101-20240101", Range("20230101", "20240101")),
        ("PN", "Doe^J*", Person("Doe^J*")),
        ("IS", "12", Exactly("12")),
    ],
)
def test_kinds(vr: str, text: str, condition: object) -> None:
    assert key("0010aaaa", vr, text) == Key("0010AAAA", vr, condition)  # type: ignore[arg-type]


@pytest.mark.parametrize("vr", ["LO", "PN", "UI", "DA", "IS", "SQ"])
@pytest.mark.parametrize("text", ["", "*", "**", "  "])
def test_universal(vr: str, text: str) -> None:
    assert key("00100020", vr, text) is None


@pytest.mark.parametrize("text", ["^", "*^*", "="])
def test_a_name_of_marks_only_is_universal(text: str) -> None:
    assert key("00100010", "PN", text) is None
    assert key("00100010", "PN", text, fuzzy=True) is None


@pytest.mark.parametrize(
    ("vr", "text"),
    [
        *(("DA", text) for text in ("2024", "20241301", "20240100-", "x", "20240101-x", "-")),
        *(("TM", text) for text in ("24", "1060", "1-2")),
        *(("UI", text) for text in ("1.2a", "1.2*", "1" * 65)),
        ("SQ", "x"),
    ],
)
def test_what_is_none_is_refused(vr: str, text: str) -> None:
    with pytest.raises(Invalid):
        key("00100020", vr, text)


def test_inside_sequences() -> None:
    found = sequence_key([("00400275", "SQ"), ("00401001", "SH")], "RP*")
    assert found == Key("00400275", "SQ", Item((Key("00401001", "SH", Wildcard("RP*")),)))
    assert sequence_key([("00400275", "SQ"), ("00401001", "SH")], "*") is None
