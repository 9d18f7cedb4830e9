"""Whole searches: what is asked for, applied, left out and refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies.search_cases import pairs

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import FhirError, Invalid, NotFound, TooCostly
from fhirserver.search.compile import compile_criteria, compile_search
from fhirserver.search.expression import (
    EVERYTHING,
    NOTHING,
    And,
    IdIs,
    Or,
    ReferenceIs,
    SortKey,
    StringIs,
    Target,
    TypeIs,
)
from fhirserver.search.index import Indexer
from fhirserver.search.parameter import ANY_TYPE, parameter
from fhirserver.search.params import PARAMETER_TYPES
from fhirserver.search.refusal import Unsupported
from fhirserver.search.request import ANY, Include, Limits, Pairs, SearchRequest


def search(query: str, *types: str, **options: Any) -> SearchRequest:
    parameters = pairs(query) if query else ()
    return compile_search(packaged(), types, parameters, now=0, base_url="http://a", **options)


# --- conditions ------------------------------------------------------------------------------


def test_no_parameter_means_everything() -> None:
    assert search("", "Patient").query.where == EVERYTHING


def test_repeated_parameters_must_all_hold() -> None:
    where = search("name=a&name=b", "Patient").query.where
    assert isinstance(where, And)
    assert [part.values for part in where.parts if isinstance(part, StringIs)] == [("a",), ("b",)]


def test_a_whole_system_is_searched_by_what_all_types_have() -> None:
    asked = search("_id=a")
    assert asked.query.types == ()
    assert asked.query.where == IdIs(("a",))
    with pytest.raises(Unsupported, match="all types"):
        search("name=a")


def test_some_types_are_searched_by_what_they_share() -> None:
    asked = search("_type=Patient,Practitioner&family=a")
    assert asked.query.types == ("Patient", "Practitioner")
    assert isinstance(asked.query.where, StringIs)
    with pytest.raises(Unsupported, match="Practitioner"):
        search("_type=Patient,Practitioner&birthdate=2020")


def test_a_parameter_that_means_different_things_is_told_apart_by_type() -> None:
    where = search("_type=Patient,Observation&patient=1", "Observation").query.where
    assert where == ReferenceIs("patient", (Target("Patient", "1"),))
    where = search("_type=Encounter,Flag&subject=1").query.where
    assert isinstance(where, Or)
    assert [part.parts[0] for part in where.parts if isinstance(part, And)] == [
        TypeIs(("Encounter",)),
        TypeIs(("Flag",)),
    ]


def test_types_that_exclude_each_other_find_nothing() -> None:
    assert search("_type=Observation", "Patient").query.where == NOTHING


def test_a_type_that_r4_does_not_have_is_refused() -> None:
    with pytest.raises(Invalid, match="'Foo'"):
        search("_type=Patient,Foo")


@pytest.mark.parametrize("type", ["Observation", "Location", "Patient", "ValueSet"])
def test_whatever_has_an_order_can_be_sorted_by(type: str) -> None:
    """In both directions; composites and positions have none, and are refused."""
    for code, definition in packaged().search_parameters(type).items():
        if parameter(packaged(), type, code) is None:
            continue
        for sign in ("", "-"):
            if definition.type in ("composite", "special"):
                with pytest.raises(Unsupported, match="no order"):
                    search(f"_sort={sign}{code}", type)
            else:
                (key,) = search(f"_sort={sign}{code}", type).query.sort
                assert (key.param, key.descending) == (code, sign == "-")


# --- how to answer ---------------------------------------------------------------------------


def test_result_parameters() -> None:
    asked = search(
        "_sort=-birthdate,family,_id&_count=7&_total=accurate&_summary=data&_contained=false",
        "Patient",
    )
    assert asked.query.sort == (
        SortKey("birthdate", "date", descending=True),
        SortKey("family", "string"),
        SortKey("_id", "token"),
    )
    assert asked.query.count == 7
    assert asked.query.total
    assert asked.summary == "data"


@pytest.mark.parametrize("query", ["_summary=count", "_count=0"])
def test_only_to_count_reads_nothing(query: str) -> None:
    asked = search(query, "Patient")
    assert (asked.query.count, asked.query.total, asked.summary) == (0, True, "count")


def test_pages_are_bounded() -> None:
    asked = search("_count=5000", "Patient", limits=Limits(max_count=100))
    assert asked.query.count == 100
    assert asked.applied == (("_count", "100"),)
    assert search("", "Patient", limits=Limits(count=20)).query.count == 20


def test_elements_are_named_by_the_base_element_or_its_property() -> None:
    assert search("_elements=status,value&_elements=code", "Observation").elements == (
        "status",
        "value",
        "code",
    )
    assert search("_elements=valueQuantity", "Observation").elements == ("valueQuantity",)


def test_includes() -> None:
    asked = search(
        "_include=Observation:subject&_include:iterate=Patient:link:Patient"
        "&_revinclude=Provenance:target&_include=Observation:*&_include=*",
        "Observation",
    )
    assert asked.includes == (
        Include("Observation", "subject"),
        Include("Patient", "link", "Patient", iterate=True),
        Include("Provenance", "target", reverse=True),
        Include("Observation", ANY),
        Include(ANY, ANY),
    )


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("_count=-1", "page size"),
        ("_count=a", "page size"),
        ("_count=1&_count=2", "once"),
        ("_sort=foo", "not a search parameter"),
        ("_sort=near", "not a search parameter"),
        ("_sort=code-value-quantity", "no order"),
        ("_sort=", "Give a value"),
        ("_total=maybe", "accurate"),
        ("_summary=maybe", "count"),
        ("_summary=true&_elements=code", "either"),
        ("_summary=text&_include=Observation:subject", "cannot be combined"),
        ("_elements=foo", "not an element"),
        ("_elements=code.text", "not an element"),
        ("_contained=yes", "use both, false or true"),
        ("_containedType=all", "use contained or container"),
        ("_contained=true&_contained=both", "once"),
        ("_contained=true&_sort=code", "not a search parameter of all types"),
        ("_query=current", "no named query"),
        ("_include=Observation", "Type:parameter"),
        ("_include=Observation:subject:Patient:x", "Type:parameter"),
        ("_include=Foo:subject", "resource type"),
        ("_include=Observation:foo", "not a search parameter"),
        ("_include=Observation:code", "not a reference"),
        ("_include=Observation:subject:Practitioner", "refers to"),
        ("_include:recurse=Observation:subject", ":iterate"),
        ("_include:*=Observation:subject", ":iterate"),
        ("_include=*:subject", "not a resource type"),
        ("_sort=near", "not a search parameter"),
        ("_since=2020", "not a search parameter"),
        ("_at=2020", "not a search parameter"),
        ("_Count=5", "not a search parameter"),
        ("_score=1", "not a search parameter"),
        ("_type=", "resource type"),
    ],
)
def test_what_is_refused(query: str, text: str) -> None:
    with pytest.raises(Invalid, match=text) as refusal:
        search(query, "Observation")
    assert refusal.value.text.startswith(query.split("&")[-1].partition("=")[0]) or "&" in query


# --- handling --------------------------------------------------------------------------------


def test_lenient_handling_leaves_out_what_is_not_understood_and_tells_so() -> None:
    asked = search(
        "foo=1&name:bar=a&birthdate=zz2020&name=b&gender=&_sort=foo,birthdate&_include=X:y",
        "Patient",
        handling="lenient",
    )
    assert isinstance(asked.query.where, StringIs)
    assert asked.query.sort == (SortKey("birthdate", "date"),)
    assert asked.applied == (("name", "b"), ("_sort", "birthdate"))
    assert [issue.text.split(" ")[0] for issue in asked.ignored] == [
        "foo",
        "name:bar",
        "birthdate",
        "gender",
        "_sort",
        "_include",
    ]
    assert {(issue.severity, issue.code) for issue in asked.ignored} == {
        ("warning", "not-supported")
    }


@pytest.mark.parametrize("query", ["birthdate=2020-13", "_count=-1", "active:missing=maybe"])
def test_a_value_that_does_not_fit_is_refused_by_lenient_handling_too(query: str) -> None:
    with pytest.raises(Invalid):
        search(query, "Patient", handling="lenient")


def test_what_is_applied_is_what_was_asked_but_for_the_form_of_the_answer() -> None:
    asked = search("name=a&_format=json&_pretty=true&_id=1", "Patient")
    assert asked.applied == (("name", "a"), ("_id", "1"))
    assert asked.ignored == ()


# --- limits ----------------------------------------------------------------------------------


def test_a_search_is_bounded() -> None:
    few = Limits(values=2, parameters=2, depth=2, conditions=20)
    with pytest.raises(TooCostly):
        search("_id=a,b,c", "Patient", limits=few)
    with pytest.raises(Invalid):
        search("_id=a&_id=b&_id=c", "Patient", limits=few)
    with pytest.raises(TooCostly):
        search("link:Patient.link:Patient.link:Patient.name=a", "Patient", limits=few)
    with pytest.raises(TooCostly):
        search("focus.focus.code=a", "Observation", limits=few)


# --- compartments ----------------------------------------------------------------------------


def test_a_compartment_restricts_the_search() -> None:
    asked = search("code=a", "Condition", compartment=("Patient", "1"))
    assert isinstance(asked.query.where, And)
    assert asked.query.where.parts[0] == Or(
        (
            ReferenceIs("patient", (Target("Patient", "1"),)),
            ReferenceIs("asserter", (Target("Patient", "1"),)),
        )
    )


def test_all_of_a_compartment() -> None:
    asked = search("", compartment=("Patient", "1"))
    assert {"Patient", "Observation"} <= set(asked.query.types)
    assert not {"Medication", "Practitioner"} & set(asked.query.types)


def test_some_types_of_a_compartment() -> None:
    asked = search("_type=Condition,Medication", compartment=("Patient", "1"))
    assert asked.query.types == ("Condition",)


def test_an_unknown_compartment() -> None:
    with pytest.raises(NotFound, match="Encounter"):
        search("", compartment=("Organization", "1"))


# --- criteria --------------------------------------------------------------------------------


def test_criteria_select() -> None:
    where = compile_criteria(packaged(), "Patient", pairs("_id=a&_format=json"), now=0)
    assert where == IdIs(("a",))


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("_format=json", "at least one"),
        ("_count=1", "only says"),
        ("_include=Patient:link&_id=a", "cannot have"),
        ("foo=1", "not a search parameter"),
        ("birthdate=x", "birthdate: 'x' is not a date"),
    ],
)
def test_criteria_that_do_not_select_are_refused(query: str, text: str) -> None:
    with pytest.raises(Invalid, match=text):
        compile_criteria(packaged(), "Patient", pairs(query), now=0)


# --- anything --------------------------------------------------------------------------------

_NAME_PARTS = (
    "name subject code patient date url value-quantity code-value-quantity identifier _id _has "
    "Patient Observation missing not of-type below iterate _sort _include [type] é : : . ."
)
_NAMES = st.lists(st.sampled_from(_NAME_PARTS.split()), max_size=7).map("".join)
_VALUES = st.text(alphabet="a1-:/|$,\\. e\x00é", max_size=10) | st.sampled_from(
    ["true", "ge2020", "Patient/1", "Observation:subject", "http://a|b", "1e999", "9" * 50]
)


@given(
    st.lists(st.tuples(_NAMES, _VALUES), max_size=3),
    st.sampled_from([(), ("Patient",), ("Observation",), ("ValueSet", "Patient")]),
    st.sampled_from(["strict", "lenient"]),
)
def test_any_query_is_compiled_or_refused(
    parameters: list[tuple[str, str]], types: tuple[str, ...], handling: Any
) -> None:
    try:
        asked = compile_search(packaged(), types, tuple(parameters), handling=handling, now=0)
    except FhirError as refusal:
        assert refusal.status in (400, 403)
        assert refusal.text
    else:
        assert isinstance(asked, SearchRequest)
        hash(asked)


# --- every parameter of R4 -------------------------------------------------------------------

_SAMPLES = {
    "token": "http://a|b",
    "string": "a",
    "date": "ge2020",
    "number": "lt5.0",
    "quantity": "5|http://a|b",
    "reference": "a",
    "uri": "http://a",
    "position": "-36.8|174.7|5|km",
}
_MODIFIED = {
    "in": "http://hl7.org/fhir/ValueSet/administrative-gender",
    "not-in": "http://hl7.org/fhir/ValueSet/administrative-gender",
    "above": "http://terminology.hl7.org/CodeSystem/condition-clinical|active",
    "below": "http://terminology.hl7.org/CodeSystem/condition-clinical|active",
    "of-type": "a|b|c",
    "missing": "true",
}


def _asked(type: str, code: str) -> Pairs:
    found = parameter(packaged(), type, code)
    assert found is not None
    if found.kind == "composite":
        return ((code, "$".join(_SAMPLES[part.kind] for part in found.components)),)
    named = (found.targets or ("Patient",))[0]
    modifiers = [*PARAMETER_TYPES[found.kind].modifiers, "missing"]
    sample = _SAMPLES[found.kind]
    return tuple(
        (f"{code}:{named if item == ANY_TYPE else item}", _MODIFIED.get(item, sample))
        if item
        else (code, sample)
        for item in modifiers
    )


@pytest.mark.parametrize("type", sorted(packaged().resource_types))
def test_every_parameter_is_compiled_with_every_modifier(type: str, indexer: Indexer) -> None:
    for code in indexer.parameters(type).keys() - {"_id", "_lastUpdated"}:
        asked = _asked(type, code)
        compiled = compile_search(packaged(), (type,), asked, now=0)
        assert compiled.applied == asked
        assert not compiled.ignored
