"""The reference meaning: intervals, units, references, orders."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from strategies.search_documents import Case, cases

from fhirserver.search.entry import Date, Number, Quantity, Reference, String, Token, Uri
from fhirserver.search.expression import (
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    DateIs,
    Has,
    IdIs,
    Missing,
    Not,
    NumberIs,
    Or,
    QuantityIs,
    ReferenceIs,
    SortKey,
    StringIs,
    StringMode,
    Target,
    TokenIs,
    TokenValue,
    TypeIs,
)
from fhirserver.search.match import Document, in_order, match, match_entry, sort_value

_POINTS = range(-2, 9)
_BOUNDS = st.tuples(st.integers(0, 6), st.integers(0, 6)).map(
    lambda pair: (min(pair), max(pair) + 1)
)


# --- prefixes against sets of instants: https://hl7.org/fhir/R4/search.html#prefix -----------


@given(_BOUNDS, _BOUNDS)
def test_prefixes_of_dates_mean_what_r4_says_of_ranges(
    value: tuple[int, int], entry: tuple[int, int]
) -> None:
    asked, target = set(range(*value)), set(range(*entry))
    above = {point for point in _POINTS if point > max(asked)}
    below = {point for point in _POINTS if point < min(asked)}
    meanings = {
        "eq": asked >= target,
        "ne": not asked >= target,
        "gt": bool(above & target),
        "lt": bool(below & target),
        "ge": bool(above & target) or asked >= target,
        "le": bool(below & target) or asked >= target,
        "sa": above >= target,
        "eb": below >= target,
        "ap": bool(asked & target),
    }
    for comparator, meaning in meanings.items():
        leaf = DateIs("d", comparator, *value)  # type: ignore[arg-type]
        assert match_entry(leaf, Date(*entry)) is meaning, comparator


@given(st.integers(0, 6), st.integers(0, 6))
def test_prefixes_of_exact_numbers_compare_numbers(value: int, entry: int) -> None:
    meanings = {
        "eq": entry == value,
        "ne": entry != value,
        "gt": entry > value,
        "lt": entry < value,
        "ge": entry >= value,
        "le": entry <= value,
        "sa": entry > value,
        "eb": entry < value,
        "ap": entry == value,
    }
    for comparator, meaning in meanings.items():
        leaf = NumberIs("n", comparator, value, value - 0.5, value + 0.5)  # type: ignore[arg-type]
        assert match_entry(leaf, Number(entry, entry)) is meaning, comparator


def test_the_upper_bound_of_an_implicit_range_is_left_to_exact_numbers() -> None:
    leaf = NumberIs("n", "eq", 100, 99.5, 100.5)
    assert match_entry(leaf, Number(99.5, 99.5))
    assert not match_entry(leaf, Number(100.5, 100.5))
    assert match_entry(leaf, Number(99.5, 100.5))


# --- other leaves ----------------------------------------------------------------------------


def test_a_unit_without_a_system_may_be_the_human_one() -> None:
    entry = Quantity(1, 1, "ucum", "mg", "milligram")
    leaf = QuantityIs("q", "eq", 1, 0.5, 1.5, None, "milligram")
    assert match_entry(leaf, entry)
    assert not match_entry(QuantityIs("q", "eq", 1, 0.5, 1.5, "ucum", "milligram"), entry)
    assert match_entry(QuantityIs("q", "eq", 1, 0.5, 1.5, "ucum", None), entry)


def test_an_id_alone_means_resources_of_this_server() -> None:
    leaf = ReferenceIs("r", (Target(None, "1"),))
    assert match_entry(leaf, Reference("Patient", "1"))
    assert not match_entry(leaf, Reference("", "1"))


def test_an_entry_of_another_kind_never_matches() -> None:
    assert not match_entry(TokenIs("t", (TokenValue(None, None),)), Uri("a"))
    assert not match_entry(StringIs("s", StringMode.STARTS, ("",)), Token("", "a"))


def test_no_parameter_given_means_every_reference() -> None:
    document = Document("Patient", "1", 0, {"link": (Reference("Patient", "2"),)})
    assert match(ReferenceIs(None, (Target("Patient", "2"),)), document)
    assert not match(ReferenceIs("organization", (Target("Patient", "2"),)), document)


# --- whole documents -------------------------------------------------------------------------

_PATIENT = Document("Patient", "1", 5, {"name": (String("a", "A"),), "x:present": (Token("", ""),)})
_OBSERVATION = Document("Observation", "2", 6, {"subject": (Reference("Patient", "1"),)})
_WORLD = {("Patient", "1"): _PATIENT, ("Observation", "2"): _OBSERVATION}


def test_everything_and_nothing() -> None:
    assert match(EVERYTHING, _PATIENT)
    assert not match(NOTHING, _PATIENT)
    assert match(Not(NOTHING), _PATIENT)


def test_what_is_known_of_every_resource() -> None:
    assert match(And((IdIs(("1",)), TypeIs(("Patient",)))), _PATIENT)
    assert match(DateIs("_lastUpdated", "eq", 5, 6), _PATIENT)
    assert not match(DateIs("_lastUpdated", "gt", 5, 6), _PATIENT)
    assert not match(Missing("_lastUpdated", "date", missing=True), _PATIENT)


def test_missing_takes_the_mark_of_presence_for_a_value() -> None:
    assert match(Missing("x", "token", missing=False), _PATIENT)
    assert match(Missing("y", "token", missing=True), _PATIENT)
    assert match(Missing("name", "string", missing=False), _PATIENT)


def test_chains_lead_along_references_and_has_against_them() -> None:
    named = StringIs("name", StringMode.STARTS, ("a",))
    assert match(Chain("subject", ("Patient",), named), _OBSERVATION, _WORLD)
    assert not match(Chain("subject", ("Group",), named), _OBSERVATION, _WORLD)
    assert not match(Chain("subject", ("Patient",), named), _OBSERVATION, {})
    assert match(Has("Observation", "subject", EVERYTHING), _PATIENT, _WORLD)
    assert not match(Has("Observation", "subject", IdIs(("3",))), _PATIENT, _WORLD)
    assert not match(Has("Observation", "performer", EVERYTHING), _PATIENT, _WORLD)


@given(cases())
def test_negation_and_de_morgan(case: Case) -> None:
    parts = tuple(case.expressions)
    for document in case.world.values():
        every = match(And(parts), document, case.world)
        some = match(Or(parts), document, case.world)
        negated = tuple(map(Not, parts))
        assert match(Not(And(parts)), document, case.world) is not every
        assert match(Or(negated), document, case.world) is not every
        assert match(And(negated), document, case.world) is not some


# --- orders ----------------------------------------------------------------------------------


def test_missing_values_come_last_in_both_directions() -> None:
    first = Document("Patient", "a", 0, {"name": (String("z", "Z"), String("b", "B"))})
    second = Document("Patient", "b", 0, {"name": (String("c", "C"),)})
    third = Document("Patient", "c", 0)
    key = SortKey("name", "string")
    assert in_order([third, second, first], [key]) == [first, second, third]
    down = SortKey("name", "string", descending=True)
    assert in_order([third, second, first], [down]) == [first, second, third]


def test_later_words_do_not_sort() -> None:
    document = Document("Patient", "a", 0, {"name": (String("z a", "Z a"), String("a", ""))})
    assert sort_value(SortKey("name", "string"), document) == ("z a",)


def test_what_each_kind_sorts_by() -> None:
    entries = {
        "t": (Token("s", "c"),),
        "d": (Date(1, 2), Date(0, 9)),
        "n": (Number(1, 2),),
        "q": (Quantity(3, 3, "", "", ""),),
        "r": (Reference("Patient", "1"),),
        "u": (Uri("u"),),
    }
    document = Document("Patient", "a", 7, entries)
    assert sort_value(SortKey("t", "token"), document) == ("c", "s")
    assert sort_value(SortKey("d", "date"), document) == (0,)
    assert sort_value(SortKey("d", "date", descending=True), document) == (1,)
    assert sort_value(SortKey("n", "number"), document) == (1,)
    assert sort_value(SortKey("q", "quantity"), document) == (3,)
    assert sort_value(SortKey("r", "reference"), document) == ("Patient", "1")
    assert sort_value(SortKey("u", "uri"), document) == ("u",)
    assert sort_value(SortKey("_id", "token"), document) == ("a",)
    assert sort_value(SortKey("_lastUpdated", "date"), document) == (7,)
    assert sort_value(SortKey("x", "token"), document) == ()


@given(cases())
def test_an_order_keeps_every_document(case: Case) -> None:
    for keys in case.sorts:
        ordered = in_order(case.world.values(), keys)
        assert sorted(ordered, key=str) == sorted(case.world.values(), key=str)
