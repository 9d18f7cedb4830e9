"""Primitive values, as https://hl7.org/fhir/R4/datatypes.html#primitive describes them."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.definitions import packaged
from fhirserver.model.json import SpelledDecimal
from fhirserver.validation.primitive import CHECKS

GOOD = {
    "base64Binary": ["AAAA", "AAA=", "QUJD\nREVG", " QUJD ", "QQ=="],
    "boolean": [True, False],
    "canonical": ["http://hl7.org/fhir/ValueSet/x|4.0.1", "#a"],
    "code": ["final", "a b", "<=", "1/min"],
    "date": ["2024", "2024-02", "2024-02-29", "0001-01-01", "9999-12-31"],
    "dateTime": [
        "2024",
        "2024-02-29",
        "2024-02-29T23:59:60Z",
        "2015-02-07T13:28:17.239+02:00",
        "2015-02-07T13:28:17-14:00",
    ],
    "decimal": [1, -1, 0, Decimal("1.50"), SpelledDecimal("1.0E3"), 1.5, 10**30],
    "id": ["a", "A-1.b", "x" * 64],
    "instant": ["2015-02-07T13:28:17.239+02:00", "2017-01-01T00:00:00Z"],
    "integer": [0, -(2**31), 2**31 - 1],
    "markdown": ["# Title\n\ntext\t."],
    "oid": ["urn:oid:1.2.3.4.5", "urn:oid:0.1"],
    "positiveInt": [1, 2**31 - 1],
    "string": ["a", " a ", "line\r\nline\ttab", "é\xa0🎉", "x" * 1_048_576],
    "time": ["00:00:00", "23:59:60", "12:30:00.125"],
    "unsignedInt": [0, 2**31 - 1],
    "uri": ["http://x/y?z=1#w", "urn:uuid:x", "é", "a"],
    "url": ["http://x", "mailto:a@b"],
    "uuid": ["urn:uuid:c757873d-ec9a-4326-a141-556f43239520"],
    "xhtml": ["<div xmlns='http://www.w3.org/1999/xhtml'>\n a</div>"],
}
BAD = {
    "base64Binary": ["A", "AAA", "A=AA", "%%%%", "é", " "],
    "boolean": ["true", 0, 1],
    "canonical": ["a b"],
    "code": [" a", "a ", "a  b", "\ta", "a\x01"],
    "date": [
        "2023-02-29",
        "2024-04-31",
        "2024-13",
        "2024-00-01",
        "0000",
        "24",
        "2024-1-1",
        "2024-01-01T00:00:00Z",
        "2024-01-01\n",
        "٢٠٢٤",
    ],
    "dateTime": [
        "2023-02-29T00:00:00Z",
        "2024-02-29T10:00:00",
        "2024-02-29T10:00Z",
        "2024-02-29T24:00:00Z",
        "2024-02-29 10:00:00Z",
        "2024-02-29T10:00:00+14:30",
        "2024-02T10:00:00Z",
    ],
    "decimal": ["1", Decimal("NaN"), Decimal("Infinity"), float("inf"), True],
    "id": ["a_b", "x" * 65, "ä", "a/b", "a\n"],
    "instant": ["2015-02-07", "2015-02-07T13:28:17", "2015-02-30T13:28:17Z"],
    "integer": [2**31, -(2**31) - 1, Decimal("1.0"), "1", False],
    "markdown": ["\x00"],
    "oid": ["1.2.3", "urn:oid:3.1", "urn:oid:1.02", "urn:oid:1"],
    "positiveInt": [0, -1, 2**31],
    "string": ["\x00", "a\x0b", "\x1f", "\ud800", "x" * 1_048_577, 1],
    "time": ["24:00:00", "12:30", "12:30:00Z"],
    "unsignedInt": [-1, 2**31],
    "uri": ["a b", " ", "\n", "a\x7f b"],
    "url": ["http://x y"],
    "uuid": [
        "c757873d-ec9a-4326-a141-556f43239520",
        "urn:uuid:C757873D-ec9a-4326-a141-556f43239520",
    ],
    "xhtml": [1],
}


@pytest.mark.parametrize(
    ("type", "value"), [(type, value) for type, values in GOOD.items() for value in values]
)
def test_good_values(type: str, value: object) -> None:
    assert CHECKS[type](value) is None


@pytest.mark.parametrize(
    ("type", "value"), [(type, value) for type, values in BAD.items() for value in values]
)
def test_bad_values(type: str, value: object) -> None:
    issues = CHECKS[type](value)
    assert issues is not None
    assert len(issues) == 1
    assert issues[0].text.startswith("Expected ")


@pytest.mark.parametrize("type", CHECKS)
@pytest.mark.parametrize("value", ["", None, {}, [], {"a": 1}])
def test_what_no_primitive_is(type: str, value: object) -> None:
    assert CHECKS[type](value) is not None


def test_every_primitive_type_has_a_check() -> None:
    kinds = {name for name, header in packaged().types.items() if header.kind == "primitive-type"}
    assert set(CHECKS) == kinds


TEXTUAL = sorted(
    set(CHECKS) - {"boolean", "decimal", "integer", "positiveInt", "unsignedInt", "xhtml"}
)


def _official(type: str) -> re.Pattern[str]:
    structure = packaged().structure(type)
    assert structure is not None
    assert structure.regex is not None
    return re.compile(structure.regex, re.ASCII)


@pytest.mark.parametrize("type", TEXTUAL)
@given(data=st.data())
def test_what_is_accepted_matches_the_official_expression(type: str, data: st.DataObject) -> None:
    value = data.draw(st.one_of(st.text(max_size=12), st.text("0129-:TZ+. aA=/\n", max_size=25)))
    if CHECKS[type](value) is None:
        assert _official(type).fullmatch(value)


@pytest.mark.parametrize("type", sorted(set(TEXTUAL) - {"base64Binary"}))
@given(data=st.data())
def test_what_matches_the_official_expression_is_accepted(type: str, data: st.DataObject) -> None:
    value = data.draw(st.from_regex(_official(type), fullmatch=True))
    issues = CHECKS[type](value)
    if issues is None:
        return
    if type in ("date", "dateTime", "instant"):
        assert value[8:10] in ("29", "30", "31")  # of a month without that day
    else:
        assert value == "" or any(ord(char) < 32 for char in value)
