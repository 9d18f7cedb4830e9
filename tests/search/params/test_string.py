"""Folding of texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.search.params.string import MAX_LATER, MAX_WORDS, fold, strings


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Éric", "eric"),
        ("O'Brien", "obrien"),
        ("O’Brien", "obrien"),
        ("J. R. R. Tolkien", "j r r tolkien"),
        ("Smith-Jones,  Ann\t", "smith jones ann"),
        ("Straße", "strasse"),
        ("Ångström", "angstrom"),
        ("ｆｕｌｌ", "full"),
        ("Dvořák", "dvorak"),
        ("Øre Łódź", "ore lodz"),
        ("Αθήνα", "αθηνα"),
        ("ΑΘΗΝΑΣ", "αθηνασ"),
        ("Иванов Й", "иванов и"),
        ("بَيْت", "بيت"),
        ("東京", "東京"),
        ("a+b", "a+b"),
        ("%_", ""),
        ("", ""),
    ],
)
def test_case_accents_and_punctuation_do_not_count(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(st.text())
def test_folding_what_is_folded_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text())
def test_case_does_not_count(text: str) -> None:
    assert fold(text.casefold()) == fold(text)


@given(st.text(max_size=200))
def test_a_text_is_found_from_the_start_of_each_of_its_words(text: str) -> None:
    found = strings(text)
    assert found[0] == (fold(text), text)
    for word in fold(text).split(" ")[: MAX_WORDS + 1]:
        assert any(entry.folded.startswith(word[:MAX_LATER]) for entry in found)
    assert all(entry.exact == "" for entry in found[1:])
