"""Page links, and the normal form of a query."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.interactions.page import address, query_string
from fhirserver.interactions.query import query_pairs

WORDS = st.text(min_size=1)


@given(st.lists(st.tuples(WORDS, st.text()), max_size=5).map(tuple))
def test_a_query_string_is_read_as_the_same_pairs(pairs: tuple[tuple[str, str], ...]) -> None:
    query = urlsplit(f"http://a/{query_string(pairs)}").query
    assert query.isascii()
    assert query_pairs(query) == pairs


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ((), ""),
        ((("name", "Möller"),), "?name=M%C3%B6ller"),
        ((("code", "http://loinc.org|8867-4,x"),), "?code=http://loinc.org%7C8867-4,x"),
        ((("a", "1 + 1"), ("b", "x&y=z#")), "?a=1%20%2B%201&b=x%26y%3Dz%23"),
    ],
)
def test_the_normal_form_of_a_query(pairs: tuple[tuple[str, str], ...], expected: str) -> None:
    assert query_string(pairs) == expected


def test_the_address_of_the_system_is_the_base() -> None:
    assert address("http://a/fhir", "") == "http://a/fhir"
    assert address("http://a/fhir", "Patient") == "http://a/fhir/Patient"
