"""The score of a match: how much of a text is what was asked for."""

from __future__ import annotations

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies.search_documents import WORDS

from fhirserver.search.entry import Words
from fhirserver.search.expression import EVERYTHING, And, Or, TextIs
from fhirserver.search.score import score, shown, texts_of

FEVER = TextIs("_text", (("fever",),))
BOTH = TextIs("_content", (("fever", "cough"),))


def of(text: str, *asked: TextIs) -> float:
    return score(asked, {asked[0].param: (Words(text),)})


def test_a_text_of_nothing_else_is_the_best() -> None:
    assert of("fever", FEVER) == 1
    assert of("cough fever", BOTH) == pytest.approx(1)


def test_the_more_else_a_text_has_the_less_it_fits() -> None:
    assert of("fever cough", FEVER) == 1 / sqrt(2)
    assert of("fever cough", FEVER) > of("fever cough cold", FEVER) > of("fever a b c", FEVER)


def test_more_of_the_alternatives_fit_better() -> None:
    either = TextIs("_text", (("fever",), ("cough",)))
    assert of("fever cough x", either) > of("fever cold x", either) > 0


def test_several_texts_count_alike() -> None:
    entries = {"_text": (Words("fever"),), "_content": (Words("fever cough a b"),)}
    assert score((FEVER, BOTH), entries) == (1 + 2 / sqrt(8)) / 2


def test_only_what_must_be_there_is_scored() -> None:
    assert texts_of(FEVER) == (FEVER,)
    assert texts_of(And((FEVER, EVERYTHING, Or((BOTH,))))) == (FEVER,)


def test_a_match_is_never_shown_as_none() -> None:
    assert shown(1e-9) == 0.0001
    assert shown(1 / sqrt(2)) == 0.7071


@given(
    st.lists(st.sampled_from(WORDS), min_size=1, unique=True),
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1).map(tuple), min_size=1).map(tuple),
)
def test_a_score_is_between_nothing_and_all(
    words: list[str], values: tuple[tuple[str, ...], ...]
) -> None:
    asked = TextIs("_text", values)
    found = score((asked,), {"_text": (Words(" ".join(words)),)})
    assert 0 <= found <= 1 + 1e-12
    assert (found > 0) == any(word in words for value in values for word in value)
