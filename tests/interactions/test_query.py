"""Queries are read strictly."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.errors import Invalid
from fhirserver.interactions.page import query_string
from fhirserver.interactions.query import query_pairs


def test_pairs_keep_their_order_and_repetitions() -> None:
    assert query_pairs("a=1&b=&a=2&c&=x&&a%3Db=%7C+y") == (
        ("a", "1"),
        ("b", ""),
        ("a", "2"),
        ("c", ""),
        ("", "x"),
        ("a=b", "| y"),
    )
    assert query_pairs("") == ()


@pytest.mark.parametrize("query", ["a=%", "a=%2", "a=%zz", "a=%ff", "%c3=1", "a=%ed%a0%80"])
def test_what_is_not_utf8_in_percent_encoding_is_invalid(query: str) -> None:
    with pytest.raises(Invalid):
        query_pairs(query)


def test_too_many_pairs_are_invalid() -> None:
    with pytest.raises(Invalid):
        query_pairs("a&" * 5001)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=5))
def test_reading_undoes_writing(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    assert query_pairs(query) == tuple(pairs)
    assert query_pairs(query_string(tuple(pairs))[1:]) == tuple(pairs)
