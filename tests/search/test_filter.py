"""The `_filter` parameter: what is written parses to itself, and hostile text is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from strategies.search_cases import compiled

from fhirserver.errors import FhirError, Invalid, TooCostly
from fhirserver.search.filter.parser import MAX_DEPTH, MAX_LENGTH, MAX_TESTS, parse
from fhirserver.search.filter.syntax import (
    OPERATORS,
    Filter,
    Logical,
    Negation,
    Step,
    written,
)
from fhirserver.search.filter.syntax import (
    Test as FilterTest,
)

_NAMES = st.sampled_from(["name", "_id", "and", "not", "subject:Patient", "_has:A:b:c", "a-b_1"])
_VALUES = st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable()) | st.sampled_from(
    ["true", 'a"b', "a\\", "]", ") and (", "http://a|b", " "]
)


def _combined(part: SearchStrategy[Filter]) -> SearchStrategy[Filter]:
    steps = st.builds(Step, _NAMES, part)
    return st.one_of(
        st.builds(Logical, st.sampled_from(["and", "or"]), part, part),
        st.builds(Negation, part),
        st.builds(
            lambda first, last, operator, value: FilterTest((first, Step(last)), operator, value),
            steps, _NAMES, st.sampled_from(OPERATORS), _VALUES,
        ),
    )  # fmt: skip


_TESTS = st.builds(
    lambda names, operator, value: FilterTest(tuple(map(Step, names)), operator, value),
    st.lists(_NAMES.filter(lambda name: name != "not"), min_size=1, max_size=3),
    st.sampled_from(OPERATORS),
    _VALUES,
)
FILTERS: SearchStrategy[Filter] = st.recursive(_TESTS, _combined, max_leaves=6)


@given(FILTERS)
def test_what_is_written_parses_to_the_same(part: Filter) -> None:
    assert parse(written(part)) == part


@given(st.text(alphabet='ab eqnot()[].:"\\|1', max_size=40))
def test_any_text_is_a_filter_or_is_refused(text: str) -> None:
    try:
        found = parse(text)
    except Invalid:
        return
    assert parse(written(found)) == found


def test_and_and_or_are_taken_from_left_to_right() -> None:
    a, b, c = (FilterTest((Step(name),), "eq", "1") for name in "abc")
    assert parse("a eq 1 or b eq 1 and c eq 1") == Logical("and", Logical("or", a, b), c)
    assert parse("a eq 1 or (b eq 1 and c eq 1)") == Logical("or", a, Logical("and", b, c))


@pytest.mark.parametrize(
    "text",
    [
        "(" * (MAX_DEPTH + 2) + "a eq 1" + ")" * (MAX_DEPTH + 2),
        "not (" * (MAX_DEPTH + 2) + "a eq 1" + ")" * (MAX_DEPTH + 2),
        "a[" * (MAX_DEPTH + 2) + "a eq 1" + "].a eq 1" * (MAX_DEPTH + 2),
        " or ".join(["a eq 1"] * (MAX_TESTS + 1)),
        " or a eq 1 and ".join(["a eq 1"] * MAX_DEPTH),
        "a eq " + "1" * MAX_LENGTH,
    ],
    ids=["parentheses", "negations", "brackets", "tests", "changes", "length"],
)
def test_a_filter_is_bounded(text: str) -> None:
    with pytest.raises(TooCostly):
        parse(text)


def test_untyped_chains_in_a_filter_are_bounded() -> None:
    chain = "focus." * 6 + "focus re Patient/1"
    with pytest.raises(FhirError):
        compiled("Observation", f"_filter={chain}")
