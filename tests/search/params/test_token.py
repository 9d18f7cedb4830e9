"""Contact points as they are compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.search.params.token import contact


@pytest.mark.parametrize(
    ("text", "compared"),
    [
        ("(03) 5555 6473", "0355556473"),
        ("+1-555-123.4567", "+15551234567"),
        ("tel:+15551234567", "+15551234567"),
        ("A.B@Example.org", "a.b@example.org"),
        ("https://Example.org/1", "https://example.org/1"),
        ("555-HELP", "555-help"),
    ],
)
def test_numbers_lose_their_punctuation_and_addresses_their_case(text: str, compared: str) -> None:
    assert contact(text) == compared


@given(st.text())
def test_comparing_what_is_compared_changes_nothing(text: str) -> None:
    assert contact(contact(text)) == contact(text)
