"""Words of names, their order by closeness, and mistakes in spelling."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fhirserver.terminology.concept import Concept
from fhirserver.terminology.spelling import distance, nearest
from fhirserver.terminology.words import Query, fold, has_words, rank, words_of


def concept(code: str, *names: str) -> Concept:
    data = {"code": code, "designation": [{"value": name} for name in names[1:]]}
    return Concept(code, names[0], (), data)


I10 = concept("I10", "Essential (primary) hypertension", "hypertension (arterial) (benign)")
K766 = concept("K76.6", "Portal hypertension")
I11 = concept("I11", "Hypertensive heart disease")
CHEST = concept("R07.9", "Chest pain, unspecified")
BREATH = concept("R07.1", "Chest pain on breathing")
ANGINA = concept("I20.9", "Angina pectoris, unspecified", "Ischemic chest pain")
ALL = [I11, K766, ANGINA, BREATH, CHEST, I10]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hypertension", ["I10", "K76.6"]),
        ("HYPERTENS", ["I11", "K76.6", "I10"]),
        ("chest pain", ["R07.9", "R07.1", "I20.9"]),
        ("pain chest", ["R07.1", "R07.9", "I20.9"]),
        ("i20.9", ["I20.9"]),
        ("R07", ["R07.1", "R07.9"]),
        ("ang pec", ["I20.9"]),
        ("nothing", []),
    ],
)
def test_the_best_come_first(text: str, expected: list[str]) -> None:
    query = Query.of(text)
    assert query is not None
    found = [item for item in ALL if has_words(query, item)]
    assert [item.code for item in sorted(found, key=lambda item: rank(query, item))] == expected


def test_a_text_without_words_is_no_query() -> None:
    assert Query.of(" -- ") is None


@given(st.text(max_size=40))
@example("\N{MATHEMATICAL ITALIC CAPITAL A}")
def test_folding_is_final(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert words_of(fold(text)) == words_of(text)


@given(st.text("abc", max_size=6), st.text("abc", max_size=6))
def test_distance_is_symmetric_and_bounded(one: str, other: str) -> None:
    exact = distance(one, other, 100)
    assert exact == distance(other, one, 100)
    assert (exact == 0) == (one == other)
    assert abs(len(one) - len(other)) <= exact <= max(len(one), len(other))
    for limit in range(4):
        assert (distance(one, other, limit) <= limit) == (exact <= limit)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("hypertention", ["hypertension"]),
        ("hypretension", ["hypertension"]),
        ("astma", ["asthma"]),
        ("asthmaa", ["asthma"]),
        ("pain", []),
        ("i209", []),
        ("xyzzy", []),
    ],
)
def test_the_nearest_word(typed: str, expected: list[str]) -> None:
    known = {"hypertension": 9, "hypotension": 3, "asthma": 5, "pain": 1, "i20.9": 1}
    assert [word for word in nearest(typed, known) if word != typed] == expected
