"""The grammar of SMART scopes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.access.scope import (
    InvalidScope,
    NamedScope,
    ResourceScope,
    Scope,
    in_words,
    narrows,
    parse_scope,
    parse_scopes,
    within,
)

_LETTERS = st.sets(st.sampled_from("cruds"), min_size=1).map(
    lambda found: "".join(letter for letter in "cruds" if letter in found)
)
_VALUES = st.sampled_from(
    ["a", "b", "a,b", "b,a", "http://loinc.org|1-8", "x y", "ä", "50%", "a&b=c", "1\\,2", "a+b"]
)
_PAIRS = st.lists(
    st.tuples(st.sampled_from(["category", "code", "_tag", "value-date"]), _VALUES), max_size=3
).map(lambda found: tuple(sorted(set(found))))
SCOPES: st.SearchStrategy[Scope] = st.one_of(
    st.builds(
        ResourceScope,
        st.sampled_from(["patient", "user", "system"]),
        st.sampled_from(["*", "Patient", "Observation"]),
        _LETTERS,
        _PAIRS,
    ),
    st.sampled_from(["openid", "launch/patient", "offline_access"]).map(NamedScope),
)


@given(SCOPES)
def test_a_scope_reads_back_as_it_was_written(scope: Scope) -> None:
    assert parse_scope(str(scope)) == scope
    assert str(parse_scope(str(scope))) == str(scope)


@pytest.mark.check("SEC-8")
@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("patient/Observation.read", "rs"),
        ("user/*.write", "cud"),
        ("system/Patient.*", "cruds"),
        ("patient/*.cruds", "cruds"),
        ("patient/Patient.rs", "rs"),
        ("patient/Patient.cd", "cd"),
    ],
)
def test_permissions_are_letters_and_keep_their_spelling(text: str, letters: str) -> None:
    scope = parse_scope(text)
    assert isinstance(scope, ResourceScope)
    assert scope.letters == letters
    assert str(scope) == text


@pytest.mark.check("SEC-8")
@pytest.mark.parametrize(
    "text",
    [
        "patient/Observation.dus",
        "patient/Observation.sr",
        "patient/Observation.rr",
        "patient/Observation.",
        "patient/Observation",
        "patient/Observation.reads",
        "patient/Observation.READ",
        "patient/Observation.rs ",
        "patient/Observation.rs\n",
        "patient%2FObservation.rs",
        "patient/Observation%2Ers",
        "patient/observation.rs",
        "Patient/Observation.rs",
        "practitioner/Observation.rs",
        "patient//Observation.rs",
        "patient/**.rs",
        "patient/Obs*.rs",
        "patient/Observation/1.rs",
        "patient/Observation.rs,user/*.cruds",
        "xpatient/Observation.rs",
        "launch/",
        "launch/Patient",
        "openid2",
        "",
        "é/Observation.rs",
    ],
)
def test_what_is_spelled_otherwise_is_refused(text: str) -> None:
    with pytest.raises(InvalidScope):
        parse_scope(text)


@pytest.mark.check("FHA-11")
@pytest.mark.parametrize(
    "query",
    [
        "",
        "category",
        "category=",
        "=laboratory",
        "category:in=http://example.org/vs",
        "category:not=laboratory",
        "patient.name=Chalmers",
        "subject:Patient.name=Chalmers",
        "_has:Observation:patient:code=1",
        "_include=Observation:subject",
        "_revinclude=Provenance:target",
        "_sort=date",
        "_filter=code%20eq%201",
        "_text=x",
        "category=a&",
        "category=a+b",
        "category=%zz",
        "category=%ff",
        "category=a%0Ab",
    ],
)
def test_constraints_are_plain_search_parameters(query: str) -> None:
    with pytest.raises(InvalidScope):
        parse_scope(f"patient/Observation.rs?{query}")


def test_version_1_has_no_constraints() -> None:
    with pytest.raises(InvalidScope):
        parse_scope("patient/Observation.read?category=laboratory")


def test_a_list_of_scopes() -> None:
    text = "openid fhirUser launch/patient patient/*.rs patient/*.read offline_access openid"
    assert [str(item) for item in parse_scopes(text)] == [
        "openid",
        "fhirUser",
        "launch/patient",
        "patient/*.rs",
        "offline_access",
    ]
    assert parse_scopes("") == ()
    with pytest.raises(InvalidScope):
        parse_scopes("openid patient/*.sr")


_CONDITION = "patient/Condition.rs?category=a,b"


@pytest.mark.parametrize(
    ("inner", "outer", "holds"),
    [
        ("patient/Condition.rs", "patient/*.rs", True),
        ("patient/Condition.r", "patient/Condition.read", True),
        ("patient/*.rs", "patient/Condition.rs", False),
        ("patient/Condition.rs", "user/Condition.rs", False),
        ("patient/Condition.crs", "patient/Condition.rs", False),
        ("patient/Condition.rs?category=a", _CONDITION, True),
        ("patient/Condition.rs?category=a,c", _CONDITION, False),
        ("patient/Condition.rs?category=a,b&code=1", _CONDITION, True),
        ("patient/Condition.rs", _CONDITION, False),
        (_CONDITION, "patient/*.cruds", True),
        ("openid", "openid", True),
        ("openid", "patient/*.rs", False),
    ],
)
def test_which_of_two_is_the_narrower(inner: str, outer: str, *, holds: bool) -> None:
    assert narrows(parse_scope(inner), parse_scope(outer)) is holds


@given(SCOPES, SCOPES, SCOPES)
def test_narrowing_is_an_order(a: Scope, b: Scope, c: Scope) -> None:
    assert narrows(a, a)
    if narrows(a, b) and narrows(b, c):
        assert narrows(a, c)
    if narrows(a, b):
        assert within(a, [b, c])


def test_letters_may_be_granted_apart() -> None:
    outer = parse_scopes("patient/*.r patient/Condition.s")
    assert within(parse_scope("patient/Condition.rs"), outer)
    assert not within(parse_scope("patient/Observation.rs"), outer)


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (
            "patient/Observation.rs",
            "See observation entries in the record of the one patient who is chosen",
        ),
        ("user/*.cud", "Add and change and delete everything that you may see yourself"),
        (
            "patient/MedicationRequest.s?status=active,draft",
            "Search medication request entries in the record of the one patient who is chosen, "
            "only where status is active or draft",
        ),
        ("offline_access", "Go on when you are away, until you withdraw it"),
    ],
)
def test_plain_words(scope: str, words: str) -> None:
    assert in_words(parse_scope(scope)) == words
