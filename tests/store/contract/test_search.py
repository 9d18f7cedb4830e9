"""What searches find, condition by condition, on one small hospital.

The property test against `fhirserver.search.match` looks at the corners; these tables say in
short what each condition means.
"""

from __future__ import annotations

from math import inf

import pytest
from store.making import SECOND, Clock, commit_all, ids, put, removal, walk

from fhirserver.errors import Invalid
from fhirserver.model.temporal import DAY, interval
from fhirserver.search.entry import (
    Composite,
    Date,
    Entries,
    Number,
    Quantity,
    Reference,
    String,
    Token,
    Uri,
)
from fhirserver.search.expression import (
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    Comparator,
    CompositeIs,
    DateIs,
    Expression,
    Has,
    IdIs,
    Missing,
    Not,
    NumberIs,
    Or,
    QuantityIs,
    Query,
    ReferenceIs,
    SortKey,
    StringIs,
    StringMode,
    Target,
    TokenIs,
    TokenValue,
    TypeIs,
    UriIs,
    UriMode,
)
from fhirserver.store.port import Store

UCUM = "http://unitsofmeasure.org"


def _date(text: str) -> Date:
    return Date(*interval(text))


def _kg(value: float) -> Quantity:
    return Quantity(value, value, UCUM, "kg", "kilo")


PATIENTS: dict[str, Entries] = {
    "p1": {
        "gender": (Token("g", "male"),),
        "identifier": (Token("urn:a", "1"), Token("urn:b", "1")),
        "name": (String("anna maria", "Anna Maria"), String("maria", "")),
        "birthdate": (_date("1970-02-01"),),
        "organization": (Reference("Organization", "o1"),),
    },
    "p2": {
        "gender": (Token("g", "female"),),
        "identifier": (Token("urn:a", "2"), Token("", "x")),
        "name": (String("anton", "Anton"), String("zoe", "Zoë")),
        "birthdate": (_date("1970"),),
        "organization": (Reference("Organization", "o2"),),
    },
    "p3": {
        "gender": (Token("g", "male"),),
        "name": (String("bob", "bob"),),
        "birthdate": (_date("1980-06-15"),),
        "organization": (Reference("Organization", "gone"),),
    },
    "p4": {"gender:present": (Token("", ""),), "link": (Reference("Patient", "p1"),)},
}


def _observation(subject: str, code: str, kilos: float, day: str, system: str = "loinc") -> Entries:
    return {
        "subject": (Reference("Patient", subject),),
        "code": (Token(system, code),),
        "value-quantity": (_kg(kilos),),
        "date": (_date(day),),
        "code-value-quantity": (Composite((Token(system, code), _kg(kilos))),),
        "derived-from": (Uri(f"http://x.org/{code}/{subject}"),),
    }


OBSERVATIONS: dict[str, Entries] = {
    "b1": _observation("p1", "weight", 80, "2020-01-10T10:00:00Z"),
    "b2": _observation("p1", "weight", 90, "2020-02-10"),
    "b3": _observation("p2", "weight", 60, "2020-01"),
    "b4": _observation("p3", "height", 80, "2021"),
    "b5": {
        "subject": (Reference("Patient", "p2"), Reference("", "http://y.org/Patient/p1")),
        "probability": (Number(0.5, 0.5), Number(2, inf)),
        "code-value-quantity": (
            Composite((Token("loinc", "weight"), _kg(10))),
            Composite((Token("loinc", "height"), _kg(99))),
        ),
    },
}


@pytest.fixture
async def hospital(store: Store, clock: Clock) -> Store:
    await commit_all(store, [put("Patient", id, entries=found) for id, found in PATIENTS.items()])
    clock.now += SECOND
    await commit_all(store, [
        put("Organization", "o1", entries={"name": (String("north", "North"),)}),
        put("Organization", "o2", entries={"name": (String("south", "South"),)}),
        put("Organization", "gone", entries={"name": (String("north", "North"),)}),
        put("Patient", "gone", entries=PATIENTS["p1"]),
    ])  # fmt: skip
    clock.now += SECOND
    await commit_all(store, [removal("Organization", "gone", 2), removal("Patient", "gone", 2)])
    await commit_all(
        store, [put("Observation", id, entries=found) for id, found in OBSERVATIONS.items()]
    )
    return store


def _token(param: str, system: str | None, code: str | None) -> TokenIs:
    return TokenIs(param, (TokenValue(system, code),))


def _day(comparator: Comparator, text: str, param: str = "birthdate") -> DateIs:
    return DateIs(param, comparator, *interval(text))


def _kilos(comparator: Comparator, value: float, unit: str | None = "kg") -> QuantityIs:
    bounds = (value, value - 0.5, value + 0.5)
    return QuantityIs("value-quantity", comparator, *bounds, None, unit)


def _name(mode: StringMode, *values: str) -> StringIs:
    return StringIs("name", mode, values)


def _subject(*ids: str, type: str | None = "Patient") -> ReferenceIs:
    return ReferenceIs("subject", tuple(Target(type, id) for id in ids))


MALE = _token("gender", None, "male")
NORTH = Chain("organization", ("Organization",), _name(StringMode.EXACT, "North"))
HEAVY = Has("Observation", "subject", _kilos("gt", 85))

PATIENT_CASES: dict[str, tuple[Expression, str]] = {
    "everything": (EVERYTHING, "p1 p2 p3 p4"),
    "nothing": (NOTHING, ""),
    "a code of any system": (_token("identifier", None, "1"), "p1"),
    "a code of a system": (_token("identifier", "urn:b", "1"), "p1"),
    "a code of no system": (_token("identifier", "", "x"), "p2"),
    "a code of another system": (_token("identifier", "urn:b", "2"), ""),
    "any code of a system": (_token("identifier", "urn:a", None), "p1 p2"),
    "any token": (_token("identifier", None, None), "p1 p2"),
    "one of several tokens": (
        TokenIs("identifier", (TokenValue("urn:a", "1"), TokenValue("", None))),
        "p1 p2",
    ),
    "very many tokens": (
        TokenIs("identifier", tuple(TokenValue("urn:a", str(n)) for n in range(2, 3000))),
        "p2",
    ),
    "an unknown parameter": (_token("shoe-size", None, "44"), ""),
    "the start of a text": (_name(StringMode.STARTS, "an"), "p1 p2"),
    "the start of a word": (_name(StringMode.STARTS, "maria"), "p1"),
    "a part of a text": (_name(StringMode.CONTAINS, "nto", "ri"), "p1 p2"),
    "the exact text": (_name(StringMode.EXACT, "Zoë", "anton"), "p2"),
    "a pattern is a text": (_name(StringMode.STARTS, "%", "_nna", "*"), ""),
    "a date within": (_day("eq", "1970"), "p1 p2"),
    "a date not within": (_day("ne", "1970"), "p3"),
    "a date before": (_day("lt", "1970-02"), "p2"),
    "a date after": (_day("gt", "1970-02"), "p2 p3"),
    "a date that starts after": (_day("sa", "1970-02"), "p3"),
    "a date that ends before": (_day("eb", "1980"), "p1 p2"),
    "a date about": (_day("ap", "1970-12"), "p2"),
    "a date at the least": (_day("ge", "1970-02-01"), "p1 p2 p3"),
    "a date at the most": (_day("le", "1970-02-01"), "p1 p2"),
    "a reference": (ReferenceIs("organization", (Target("Organization", "o2"),)), "p2"),
    "a reference by id alone": (ReferenceIs("organization", (Target(None, "o2"),)), "p2"),
    "any reference": (ReferenceIs(None, (Target("Patient", "p1"),)), "p4"),
    "missing": (Missing("identifier", "token", missing=True), "p3 p4"),
    "not missing": (Missing("identifier", "token", missing=False), "p1 p2"),
    "present without an entry": (Missing("gender", "token", missing=False), "p1 p2 p3 p4"),
    "a missing date": (Missing("birthdate", "date", missing=True), "p4"),
    "missing of all": (Missing("shoe-size", "number", missing=True), "p1 p2 p3 p4"),
    "a missing reference": (Missing("organization", "reference", missing=False), "p1 p2 p3"),
    "not": (Not(MALE), "p2 p4"),
    "and": (And((MALE, _name(StringMode.STARTS, "b"))), "p3"),
    "or": (Or((MALE, _name(StringMode.STARTS, "anton"))), "p1 p2 p3"),
    "or of unlike ones": (Or((_day("lt", "1970-02"), IdIs(("p4",)), Not(EVERYTHING))), "p2 p4"),
    "nested": (And((Or((MALE, IdIs(("p2",)))), Not(And((MALE, IdIs(("p1",))))))), "p2 p3"),
    "ids": (IdIs(("p3", "p1", "none")), "p1 p3"),
    "no ids": (IdIs(()), ""),
    "many ids": (IdIs(tuple(f"p{n}" for n in range(4, 5000))), "p4"),
    "a type": (TypeIs(("Patient", "Group")), "p1 p2 p3 p4"),
    "another type": (TypeIs(("Group",)), ""),
    "a chain": (NORTH, "p1"),
    "a chain that negates": (Not(NORTH), "p2 p3 p4"),
    "a chain to a negation, of current ones": (
        Chain("organization", ("Organization",), Not(_name(StringMode.EXACT, "South"))),
        "p1",
    ),
    "a chain to another type": (Chain("organization", ("Patient",), EVERYTHING), ""),
    "a chain by id": (Chain("organization", ("Organization", "Group"), IdIs(("o2",))), "p2"),
    "has": (HEAVY, "p1"),
    "has of nothing": (Has("Observation", "subject", NOTHING), ""),
    "has anything": (Has("Observation", "subject", EVERYTHING), "p1 p2 p3"),
    "has not": (Not(Has("Observation", "subject", EVERYTHING)), "p4"),
    "has of a chain": (
        Has("Observation", "subject", Chain("subject", ("Patient",), NORTH)),
        "p1",
    ),
    "a chain and has": (And((NORTH, HEAVY, MALE)), "p1"),
    "has of its own type": (Has("Patient", "link", EVERYTHING), "p1"),
    "updated before": (DateIs("_lastUpdated", "lt", 1, 2), ""),
    "updated after": (DateIs("_lastUpdated", "gt", 0, 1), "p1 p2 p3 p4"),
}


@pytest.mark.parametrize("name", PATIENT_CASES)
async def test_patients(hospital: Store, name: str) -> None:
    where, expected = PATIENT_CASES[name]
    assert ids(await walk(hospital, Query(("Patient",), where, count=3))) == expected
    page = await hospital.search(Query(("Patient",), where, count=0, total=True))
    assert (page.total, list(page.versions), page.next) == (len(expected.split()), [], None)


def _weight(comparator: Comparator, value: float, code: str = "weight") -> CompositeIs:
    kilos = QuantityIs("", comparator, value, value - 0.5, value + 0.5, UCUM, "kg")
    return CompositeIs("code-value-quantity", (_token("", "loinc", code), kilos))


def _uri(mode: UriMode, *values: str) -> UriIs:
    return UriIs("derived-from", mode, values)


OBSERVATION_CASES: dict[str, tuple[Expression, str]] = {
    "a quantity": (_kilos("eq", 80), "b1 b4"),
    "a quantity of a unit by its name": (_kilos("eq", 80, "kilo"), "b1 b4"),
    "a quantity of another unit": (_kilos("eq", 80, "g"), ""),
    "a quantity of any unit": (_kilos("lt", 80, None), "b3"),
    "a greater quantity": (_kilos("ge", 80), "b1 b2 b4"),
    "another quantity": (_kilos("ne", 80), "b2 b3"),
    "a number": (NumberIs("probability", "eq", 0.5, 0.45, 0.55), "b5"),
    "an open range": (NumberIs("probability", "gt", 1e6, 1e6, 1e6), "b5"),
    "below the range": (NumberIs("probability", "lt", 0.5, 0.4, 0.6), ""),
    "one patient": (_subject("p1"), "b1 b2"),
    "several patients": (_subject("p1", "p3", "none"), "b1 b2 b4"),
    "an external patient": (_subject("http://y.org/Patient/p1", type=""), "b5"),
    "an id of any type": (_subject("p2", type=None), "b3 b5"),
    "a tuple": (_weight("gt", 70), "b1 b2"),
    "a tuple of one element, not of two": (_weight("gt", 90), ""),
    "a tuple among several": (_weight("gt", 90, "height"), "b5"),
    "a missing tuple": (Missing("code-value-quantity", "composite", missing=True), ""),
    "a time within a day": (_day("eq", "2020-01-10", "date"), "b1"),
    "a month about": (_day("ap", "2020-01-10", "date"), "b1 b3"),
    "after a month": (_day("sa", "2020-01", "date"), "b2 b4"),
    "a URI": (_uri(UriMode.EQUALS, "http://x.org/weight/p2"), "b3"),
    "below a URI": (_uri(UriMode.BELOW, "http://x.org/weight"), "b1 b2 b3"),
    "below a part of a segment": (_uri(UriMode.BELOW, "http://x.org/wei"), ""),
    "above a URI": (_uri(UriMode.ABOVE, "http://x.org/height/p3/deep"), "b4"),
    "two references": (And((_subject("p2"), Missing("date", "date", missing=True))), "b5"),
    "a chain of a chain": (Chain("subject", ("Patient",), NORTH), "b1 b2"),
    "a chain to what is referred to": (
        Chain("subject", ("Patient",), Has("Patient", "link", EVERYTHING)),
        "b1 b2",
    ),
}


@pytest.mark.parametrize("name", OBSERVATION_CASES)
async def test_observations(hospital: Store, name: str) -> None:
    where, expected = OBSERVATION_CASES[name]
    assert ids(await walk(hospital, Query(("Observation",), where, count=2))) == expected


SORT_CASES: dict[str, tuple[str, tuple[SortKey, ...], str]] = {
    "by date": ("Patient", (SortKey("birthdate", "date"),), "p2 p1 p3 p4"),
    "by date, last first": ("Patient", (SortKey("birthdate", "date", True),), "p3 p1 p2 p4"),
    "by id": ("Patient", (SortKey("_id", "token", True),), "p4 p3 p2 p1"),
    "by name, by its least": ("Patient", (SortKey("name", "string"),), "p1 p2 p3 p4"),
    "by name, by its greatest": ("Patient", (SortKey("name", "string", True),), "p2 p3 p1 p4"),
    "by token": ("Patient", (SortKey("gender", "token"),), "p2 p1 p3 p4"),
    "by two": (
        "Patient",
        (SortKey("gender", "token", True), SortKey("birthdate", "date", True)),
        "p3 p1 p2 p4",
    ),
    "by two, of which the first is missing": (
        "Patient",
        (SortKey("shoe-size", "number", True), SortKey("organization", "reference")),
        "p3 p1 p2 p4",
    ),
    "by three, of which two are missing": (
        "Patient",
        (
            SortKey("shoe-size", "number"),
            SortKey("hat-size", "number", True),
            SortKey("birthdate", "date"),
        ),
        "p2 p1 p3 p4",
    ),
    "by what is missing": ("Patient", (SortKey("shoe-size", "number"),), "p1 p2 p3 p4"),
    "by reference": ("Patient", (SortKey("organization", "reference"),), "p3 p1 p2 p4"),
    "by quantity": (
        "Observation",
        (SortKey("value-quantity", "quantity", True),),
        "b2 b1 b4 b3 b5",
    ),
    "by URI": ("Observation", (SortKey("derived-from", "uri"),), "b4 b1 b2 b3 b5"),
    "by number": ("Observation", (SortKey("probability", "number"),), "b5 b1 b2 b3 b4"),
    "by time of change": ("Patient", (SortKey("_lastUpdated", "date", True),), "p1 p2 p3 p4"),
}


@pytest.mark.parametrize("name", SORT_CASES)
@pytest.mark.parametrize("count", [1, 3, 50])
async def test_orders(hospital: Store, name: str, count: int) -> None:
    type_, sort, expected = SORT_CASES[name]
    assert ids(await walk(hospital, Query((type_,), sort=sort, count=count))) == expected


async def test_an_order_over_several_types(hospital: Store) -> None:
    newest = (SortKey("_lastUpdated", "date", True), SortKey("_id", "token"))
    for count in (1, 4, 50):
        found = await walk(hospital, Query(("Patient", "Organization"), sort=newest, count=count))
        assert ids(found) == "o1 o2 p1 p2 p3 p4"


async def test_several_types(hospital: Store) -> None:
    some = IdIs(("p1", "o1", "b1"))
    found = await walk(hospital, Query(("Patient", "Organization"), some, count=1))
    assert sorted(ids(found).split()) == ["o1", "p1"]
    assert len(await walk(hospital, Query((), some, count=1))) == 3
    assert len(await walk(hospital, Query((), count=4))) == 11


async def test_a_page_has_the_current_versions(hospital: Store) -> None:
    page = await hospital.search(Query(("Patient",), MALE))
    assert [await hospital.read("Patient", id) for id in ("p1", "p3")] == list(page.versions)


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "'", '"', "\U0010ffff", "\ufffd" * 5000])
async def test_odd_texts_find_nothing_or_are_refused(hospital: Store, text: str) -> None:
    for where in (
        *(_name(mode, text) for mode in StringMode),
        _token("code", text, text),
        *(_uri(mode, text) for mode in UriMode),
        IdIs((text, text + "1")),
        _subject(text),
    ):
        try:
            assert await walk(hospital, Query((), where)) == []
        except Invalid:
            assert text == "\ud800"


async def test_the_total_is_the_same_on_every_page(hospital: Store) -> None:
    first = await hospital.search(Query(("Patient",), count=2, total=True))
    await hospital.commit([put("Patient", "p9")])
    second = await hospital.search(Query(("Patient",), count=2, total=True, after=first.next))
    assert (first.total, second.total) == (4, 4)


async def test_a_year_long_interval_is_found_by_each_of_its_days(hospital: Store) -> None:
    year = _date("1970")
    for start in range(year.start, year.end, 30 * DAY):
        found = await walk(
            hospital, Query(("Patient",), DateIs("birthdate", "ap", start, start + 1))
        )
        assert "p2" in ids(found)
