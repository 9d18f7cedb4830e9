"""Escapes of search values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.search.escape import SEPARATORS, escape, split, unescape

TEXTS = st.text(alphabet="ab\\,|$ é", max_size=12)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ("a\\,b", ["a\\,b"]),
        ("a\\\\,b", ["a\\\\", "b"]),
        ("a\\\\\\,b", ["a\\\\\\,b"]),
        (",", ["", ""]),
        ("a,", ["a", ""]),
        ("a\\", ["a\\"]),
        ("a\\|b,c", ["a\\|b", "c"]),
        ("", [""]),
    ],
)
def test_split_at_commas_that_are_not_escaped(text: str, parts: list[str]) -> None:
    assert split(text, ",") == parts


@given(TEXTS)
def test_an_escaped_text_means_itself(text: str) -> None:
    assert unescape(escape(text)) == text


@given(st.lists(TEXTS, min_size=1), st.sampled_from(SEPARATORS))
def test_escaped_texts_are_split_apart_again(texts: list[str], separator: str) -> None:
    joined = separator.join(map(escape, texts))
    assert [unescape(part) for part in split(joined, separator)] == texts


@given(TEXTS, st.sampled_from(SEPARATORS))
def test_nothing_is_lost_by_splitting(text: str, separator: str) -> None:
    assert separator.join(split(text, separator)) == text


def test_a_backslash_before_anything_else_stands_for_itself() -> None:
    assert unescape("a\\b\\n") == "a\\b\\n"
