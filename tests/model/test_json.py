"""The JSON codec keeps every digit and refuses what FHIR forbids."""

import contextlib
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.errors import Invalid
from fhirserver.model.json import decode, encode, pretty

SPELLINGS = ["1.50", "0.10000000000000000000000001", "-0.0", "1.0e-3", "1E+3", "1e-7", "12", "-3"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_number_is_written_as_it_was_read(spelling: str) -> None:
    text = f'{{"value":{spelling},"list":[{spelling}, {spelling}]}}'
    compact = text.replace(" ", "").encode()
    assert encode(decode(text.encode())) == compact


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"c":2,"b":3}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1e9999999999999999999}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":01}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\x01"}',
        b"\xef\xbb\xbf{}",
        b'{"a":1} x',
        b'{"a":1,}',
        b"",
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_fhir_forbids_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid):
        decode(data)


def test_a_duplicate_key_is_named() -> None:
    with pytest.raises(Invalid, match='duplicate key "id" at line 1'):
        decode(b'{"id":"a","id":"b"}')


def test_pretty_keeps_numbers() -> None:
    assert pretty(b'{"a":[1.50,1.0e-3]}') == b'{\n  "a": [\n    1.50,\n    1.0e-3\n  ]\n}'


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False).filter(lambda d: abs(d.adjusted()) < 300),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_encode_then_decode_gives_the_value_back(value: object) -> None:
    again = decode(encode(value))
    assert again == value
    assert encode(again) == encode(value)


@given(st.binary())
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    with contextlib.suppress(Invalid):
        decode(data)


def test_a_decimal_is_a_decimal() -> None:
    assert decode(b"1.50") == Decimal("1.50")
    assert str(decode(b"1.50")) == "1.50"
