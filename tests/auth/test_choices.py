"""What can be ticked, and what comes of it: never more than was asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.access.policy import packaged_policies
from fhirserver.access.scope import (
    LETTERS,
    NamedScope,
    ResourceScope,
    parse_scopes,
    resource_scopes,
    within,
)
from fhirserver.auth.choices import Ticked, everything, granted, offer_of, ticked_of
from fhirserver.auth.granting import ceiling_of, meet, within_ceiling, within_role

TYPES = ("Patient", "Observation", "Condition", "AllergyIntolerance")
ALL = {level: dict.fromkeys(TYPES, "cruds") for level in ("patient", "user")}
VITAL = "http://terminology.hl7.org/CodeSystem/observation-category|vital-signs"
PROBLEM = "http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item"

_letters = st.sets(st.sampled_from(LETTERS), min_size=1).map(
    lambda marks: "".join(mark for mark in LETTERS if mark in marks)
)
_constraints = st.sets(
    st.sampled_from([("category", VITAL), ("category", PROBLEM), ("status", "final")]), max_size=2
).map(lambda pairs: tuple(sorted(pairs)))
_resource = st.builds(
    ResourceScope,
    st.sampled_from(["patient", "user"]),
    st.sampled_from([*TYPES, "*"]),
    _letters,
    _constraints,
)
_named = st.sampled_from(
    ["openid", "fhirUser", "launch/patient", "launch", "offline_access", "online_access"]
).map(NamedScope)
_scopes = st.lists(_resource | _named, max_size=5).map(lambda found: tuple(dict.fromkeys(found)))


def texts(scopes):
    return [str(scope) for scope in scopes]


@given(_scopes)
def test_what_is_left_as_it_was_asked_is_granted_as_it_was_asked(scopes):
    offer = offer_of(scopes, ALL)

    found = granted(offer, everything(offer))

    lasting = [scope for scope in scopes if "line_access" in str(scope)]
    told = [scope for scope in scopes if scope not in lasting[1:]]
    assert all(within(scope, found) for scope in told)
    assert set(found) <= set(scopes)


@given(_scopes, st.data())
def test_no_tick_grants_more_than_was_asked(scopes, data):
    offer = offer_of(scopes, ALL)
    lines = [line for group in offer.groups for line in group.lines]
    keys = data.draw(st.sets(st.sampled_from([*(line.key for line in lines), "user/*.cruds", "x"])))
    some = {
        line.key: frozenset(data.draw(st.sets(st.sampled_from([VITAL, PROBLEM, "x|y"]))))
        for line in lines
        if line.key not in keys
    }

    found = granted(offer, Ticked(frozenset(keys), some))

    assert all(within(scope, scopes) for scope in found)


@given(_scopes, _scopes)
def test_what_is_granted_is_within_the_ceiling_and_within_what_was_asked(scopes, ceiling):
    found = within_ceiling(scopes, ceiling)

    assert all(within(scope, scopes) for scope in found)
    assert all(within(scope, ceiling) for scope in found)


@given(_resource, _resource, st.sampled_from(TYPES), st.sampled_from(LETTERS))
def test_a_meet_allows_what_both_allow(one, other, type, letter):
    met = meet(one, other)

    both = one.level == other.level and one.allows(type, letter) and other.allows(type, letter)
    assert (met is not None and met.allows(type, letter)) == both
    if met is not None:
        assert set(met.constraints) == {*one.constraints, *other.constraints}


@given(_scopes, st.lists(_resource, max_size=4))
def test_a_role_limits_types_and_letters_at_every_level(scopes, ceiling):
    found = within_role(scopes, ceiling)

    assert all(within(scope, scopes) for scope in found)
    for scope in resource_scopes(found):
        limits = [ResourceScope(scope.level, c.type, c.letters, c.constraints) for c in ceiling]
        if scope.type == "*":
            assert all(any(mark in limit.letters for limit in limits) for mark in scope.letters)
        else:
            assert within(scope, limits)


@pytest.mark.check("SEC-7")
def test_a_role_without_records_grants_none():
    ceiling = ceiling_of([packaged_policies().roles["support"]])

    found = within_role(parse_scopes("openid patient/Observation.rs user/Patient.rs"), ceiling)

    assert texts(found) == ["openid"]


@pytest.mark.check("G10-7")
def test_types_that_are_not_ticked_are_not_granted():
    asked = parse_scopes("patient/Patient.rs patient/Observation.rs patient/Condition.rs")
    offer = offer_of(asked, ALL)

    found = granted(offer, ticked_of([("tick", "patient/Patient.rs")]))

    assert texts(found) == ["patient/Patient.rs"]


@pytest.mark.check("G10-7")
def test_a_scope_for_everything_becomes_the_types_that_are_ticked():
    offer = offer_of(parse_scopes("patient/*.rs"), ALL)

    found = granted(offer, ticked_of([("tick", "patient/Patient.rs")]))

    assert texts(found) == ["patient/Patient.rs"]


@pytest.mark.check("G10-17")
def test_a_scope_for_a_type_can_be_narrowed_to_categories():
    asked = parse_scopes("launch/patient patient/Patient.rs patient/Condition.rs patient/*.cruds")
    offer = offer_of(asked[:3], ALL)
    form = [
        ("tick", "patient/Patient.rs"),
        ("how:patient/Condition.rs", "some"),
        ("of:patient/Condition.rs", PROBLEM),
        ("of:patient/Condition.rs", "http://example.org|unknown"),
    ]

    found = granted(offer, ticked_of(form))

    assert texts(found) == [
        "launch/patient",
        "patient/Patient.rs",
        f"patient/Condition.rs?category={PROBLEM}",
    ]


def test_a_type_that_is_narrowed_to_nothing_is_not_granted():
    offer = offer_of(parse_scopes("patient/Condition.rs"), ALL)

    assert granted(offer, ticked_of([("how:patient/Condition.rs", "some")])) == ()
    assert granted(offer, ticked_of([("how:patient/Condition.rs", "none")])) == ()


@pytest.mark.check("G10-16")
def test_granular_scopes_are_granted_without_a_scope_for_the_whole_type():
    asked = parse_scopes(f"patient/Observation.rs?category={VITAL} patient/Patient.rs")
    offer = offer_of(asked, ALL)

    assert granted(offer, everything(offer)) == asked


@pytest.mark.check("G10-15")
def test_version_one_is_granted_as_it_was_spelled():
    asked = parse_scopes("patient/Observation.read user/*.* openid fhirUser")

    assert texts(granted(offer_of(asked, ALL), everything(offer_of(asked, ALL)))) == texts(asked)


def test_reading_can_be_granted_without_writing():
    offer = offer_of(parse_scopes("patient/Observation.cruds"), ALL)

    found = granted(offer, ticked_of([("how:patient/Observation.rs", "all")]))

    assert texts(found) == ["patient/Observation.rs"]


def test_lasting_access_is_granted_only_when_ticked():
    offer = offer_of(parse_scopes("offline_access openid launch/patient"), ALL)

    assert texts(granted(offer, ticked_of([("tick", "openid")]))) == ["openid", "launch/patient"]


def test_a_scope_for_everything_of_a_role_that_has_no_types_grants_nothing():
    offer = offer_of(parse_scopes("patient/*.rs"), {"patient": {}})

    assert granted(offer, everything(offer)) == ()


def test_a_scope_for_everything_offers_what_the_roles_have():
    offer = offer_of(parse_scopes("user/*.cruds"), {"user": {"Observation": "rs", "Task": "cu"}})

    lines = [line.key for group in offer.groups for line in group.lines]

    assert lines == ["user/Observation.rs", "user/Task.cu"]
