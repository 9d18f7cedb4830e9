"""Grants: what is missing raises, and never widens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fhirserver.access.grant import ANONYMOUS, OPEN, grant_of
from fhirserver.access.policy import findings, packaged_policies
from fhirserver.access.principal import Principal
from fhirserver.access.restriction import Restriction, assumed
from fhirserver.access.scope import InvalidScope
from fhirserver.definitions.packaged import packaged
from fhirserver.errors import FhirError, Forbidden, Invalid
from fhirserver.search.expression import EVERYTHING, NOTHING, And, Expression, IdIs, Or

DOCTOR = Principal("anna", "t", ("doctor",), fhir_user="Practitioner/anna")
PATIENT = Principal("paul", "t", ("patient",), fhir_user="Patient/paul")


def rights(principal: Principal) -> Restriction:
    grant = grant_of(principal)
    return Restriction(grant, packaged(), assumed(grant))


def app(*scopes: str, patient: str | None = "ann", who: Principal = DOCTOR) -> Principal:
    return replace(who, client="app", scopes=scopes, patient=patient)


@pytest.mark.parametrize(
    "principal",
    [
        pytest.param(replace(DOCTOR, roles=()), id="no role"),
        pytest.param(replace(DOCTOR, roles=("king",)), id="unknown role"),
        pytest.param(replace(DOCTOR, roles=("doctor", "king")), id="one unknown role"),
        pytest.param(replace(PATIENT, fhir_user=None), id="patient without a resource"),
        pytest.param(replace(PATIENT, fhir_user="Practitioner/1"), id="patient that is none"),
        pytest.param(replace(PATIENT, fhir_user="RelatedPerson/1"), id="relative of nobody"),
        pytest.param(replace(DOCTOR, client="app"), id="app without scopes"),
        pytest.param(app("user/*.sr"), id="scope out of order"),
        pytest.param(app("patient/*.rs", patient=None), id="patient scope without patient"),
        pytest.param(app("patient/*.rs", patient=""), id="patient scope with empty patient"),
        pytest.param(app("system/*.rs"), id="system scope with a user"),
        pytest.param(
            app("user/*.rs", who=replace(DOCTOR, subject="client/x")), id="user scope of a system"
        ),
    ],
)
@pytest.mark.check("SEC-11")
def test_what_is_missing_raises(principal: Principal) -> None:
    with pytest.raises((Forbidden, InvalidScope)):
        grant_of(principal)


@pytest.mark.check("SEC-7")
@pytest.mark.check("SEC-17")
def test_scopes_never_exceed_the_policy() -> None:
    found = rights(app("user/*.cruds", "patient/*.cruds"))
    for type in sorted(packaged().resource_types):
        for letter in "cruds":
            if not any(item.rules_for(type, letter) for item in found.grant.policies):
                assert found.of(type, letter) == NOTHING, (type, letter)
    assert not found.grant.is_administrator
    admin = grant_of(app("user/*.cruds", who=replace(DOCTOR, roles=("admin",))))
    assert not admin.is_administrator  # an app does not administer for its user


@pytest.mark.check("SEC-8")
def test_letters_are_what_scopes_say() -> None:
    found = rights(app("user/Observation.rs", "user/Condition.cu"))
    allowed = {
        (type, letter)
        for type in ("Observation", "Condition", "Encounter")
        for letter in "cruds"
        if found.allows(type, letter)
    }
    assert allowed == {
        ("Observation", "r"),
        ("Observation", "s"),
        ("Condition", "c"),
        ("Condition", "u"),
    }


@pytest.mark.check("FHA-12")
def test_each_scope_counts_in_its_own_context() -> None:
    found = rights(
        app("patient/Observation.rs?category=laboratory", "user/Observation.rs?code=1")
    ).of("Observation", "r")
    assert isinstance(found, And)
    ways = next(part for part in found.parts if isinstance(part, Or) and len(part.parts) == 2)
    by_patient = [part for part in ways.parts if "ann" in repr(part)]
    assert len(by_patient) == 1
    assert "laboratory" in repr(by_patient[0])
    assert "code='1'" not in repr(by_patient[0])


@pytest.mark.check("OID-7")
def test_the_users_own_resource_is_readable_with_whatever_scopes() -> None:
    found = rights(app("openid", "fhirUser", "patient/Patient.rs"))
    assert found.of("Practitioner", "r") == IdIs(("anna",))
    assert found.of("Practitioner", "s") == NOTHING
    assert rights(app("openid", "patient/Patient.rs")).of("Practitioner", "r") == NOTHING


@pytest.mark.check("SEC-10")
def test_that_links_of_patients_are_not_followed_is_documented() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs/access.md").read_text()
    assert "**Patient.link is not followed.**" in text


@pytest.mark.check("FHA-3")
def test_a_record_is_of_one_patient_by_the_compartment_alone() -> None:
    found = rights(app("patient/*.rs"))
    observation = repr(found.of("Observation", "r"))
    assert "param='subject'" in observation
    assert "focus" not in observation
    assert found.of("Patient", "r") == _without_labels(found, IdIs(("ann",)))
    assert "link" not in repr(found.of("Patient", "r"))  # Patient.link is not followed
    assert found.of("Binary", "s") == NOTHING  # by its securityContext it is read only
    for type in ("Group", "Person", "Bundle", "Task", "AuditEvent", "Subscription"):
        assert found.of(type, "r") == NOTHING, type
    assert "param='patient'" in repr(found.of("Device", "r"))


def _without_labels(found: Restriction, expression: Expression) -> Expression:
    labels = found.of("RelatedPerson", "r")
    assert isinstance(labels, And)
    return And((labels.parts[0], expression))


def test_a_constraint_that_a_type_does_not_have_gives_nothing_of_it() -> None:
    found = rights(app("user/*.rs?category=laboratory"))
    assert found.allows("Observation", "r")
    assert found.of("Patient", "r") == NOTHING


def test_who_is_open_and_who_is_nobody() -> None:
    assert Restriction(OPEN, packaged(), assumed(OPEN)).of("Patient", "d") == EVERYTHING
    assert ANONYMOUS.is_anonymous
    assert Restriction(ANONYMOUS, packaged(), assumed(ANONYMOUS)).of("Patient", "r") == NOTHING


def test_policies_name_types_and_parameters_that_there_are() -> None:
    policies = packaged_policies()
    assert findings(policies, packaged()) == []
    grouped = [type for group in policies.groups.values() for type in group]
    assert sorted(grouped) == sorted(packaged().resource_types)
    rule = '[[rule]]\ntypes=["Observatio","Patient"]\nletters="r"\nwhere=["nme=x"]'
    wrong = policies.with_roles([f'role="x"\ntitle="X"\n{rule}'])
    assert len(findings(wrong, packaged())) == 2


@pytest.mark.parametrize(
    "text",
    [
        "role",
        'role = "x"',
        'role="x"\ntitle="X"\nallows=["*"]',
        'role="x"\ntitle="X"\n[[rule]]\ntypes=["everyone"]\nletters="r"',
        'role="x"\ntitle="X"\n[[rule]]\ntypes=["Patient"]\nletters="x"',
        'role="x"\ntitle="X"\n[[rule]]\ntypes=["Patient"]\nletters=""',
        'role="x"\ntitle="X"\n[[rule]]\ntypes=["Patient"]\nletters="r"\nwhere=["active"]',
        'role="x"\ntitle="X"\n[[rule]]\ntypes=["audit"]\nletters="d"',
    ],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises((Invalid, FhirError)):
        packaged_policies().with_roles([text])
