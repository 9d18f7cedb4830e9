"""Decisions by consent and disclosures as BALP has them; and what it asks of accesses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from audit.balp import PROFILES, problems
from audit.test_event import DOCTOR, NOW, ORIGIN, PATIENT, SYSTEM, check
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.access.principal import Principal
from fhirserver.audit.agents import Caller
from fhirserver.audit.decision import (
    ConsentDecision,
    Disclosure,
    decision_content,
    disclosure_content,
)
from fhirserver.audit.event import Access, access_content
from fhirserver.model.json import Resource

WHO = [DOCTOR, PATIENT, SYSTEM, replace(DOCTOR, client=None, authorization=None, fhir_user=None)]
INTERACTIONS = {
    ("create", "C"): "Create",
    ("read", "R"): "Read",
    ("vread", "R"): "Read",
    ("update", "U"): "Update",
    ("patch", "U"): "Update",
    ("delete", "D"): "Delete",
    ("search-type", "E"): "Query",
    ("search-system", "E"): "Query",
    ("search", "E"): "Query",
}


@given(
    st.builds(
        ConsentDecision,
        st.builds(
            Caller,
            st.sampled_from(WHO),
            st.sampled_from(["", "192.0.2.7"]),
            st.just("fhir.example.org"),
            purposes=st.sampled_from([(), ("TREAT",)]),
        ),
        st.just("p1"),
        st.sampled_from([("c1",), ("c1", "c2")]),
        st.sampled_from(["permit", "part", "deny"]),
        st.sampled_from(["", "req-1", 'a"b']),
        st.sampled_from([None, "Organization/o1"]),
    )
)
@pytest.mark.check("AUD-4")
def test_a_decision_is_of_the_profile(decision: ConsentDecision) -> None:
    event = check(decision_content(decision, NOW))
    assert problems(event, PROFILES["AuthZconsent"]) == []
    assert event["outcome"] == ("8" if decision.says == "deny" else "0")
    assert event["outcomeDesc"].startswith("The patient's consent ")
    assert decision.request_id in event["outcomeDesc"]
    references = [item["what"].get("reference") for item in event["entity"]]
    assert {"Patient/p1", *(f"Consent/{id}" for id in decision.consents)} <= set(references)


@pytest.mark.check("AUD-4")
@pytest.mark.parametrize("principal", [DOCTOR, replace(PATIENT, client="my-app"), SYSTEM])
def test_a_disclosure_is_of_the_profile(principal: Principal) -> None:
    caller = Caller.of(principal, ORIGIN)
    made = disclosure_content(Disclosure(caller, "p1", (("Observation", 3),), "req-1"), NOW)
    event = check(made)
    assert problems(event, PROFILES["PrivacyDisclosure.Source"]) == []
    authorizers = [
        item["who"]["reference"]
        for item in event["agent"]
        if item["type"]["coding"][0]["code"] == "429577009"
    ]
    assert authorizers == (["Patient/p1"] if principal.fhir_user == "Patient/p1" else [])


@pytest.mark.check("AUD-1")
@pytest.mark.parametrize(("interaction", "profile"), INTERACTIONS.items())
@pytest.mark.parametrize("patient", [None, "p1"])
@pytest.mark.parametrize("principal", WHO)
def test_accesses_are_of_the_profiles(
    interaction: tuple[str, str], profile: str, patient: str | None, principal: Principal
) -> None:
    code, action = interaction
    caller = Caller(principal, "192.0.2.7", "fhir.example.org")
    access = Access(code, action, caller, "req-1", patient=patient)  # type: ignore[arg-type]
    if profile == "Query":
        access.query = b"Observation?code=x"
    else:
        access.data = ("Observation", "o1", 2)
    event = check(access_content(access, NOW))
    name = profile if patient is None else f"Patient{profile}"
    assert problems(event, PROFILES[name]) == []


def test_the_table_finds_what_is_missing() -> None:
    caller = Caller.of(DOCTOR, ORIGIN)
    decision = ConsentDecision(caller, "p1", ("c1",), "deny", "req-1")
    event = check(decision_content(decision, NOW))
    row = PROFILES["AuthZconsent"]
    for broken in _broken(event):
        assert problems(broken, row) != []


def _broken(event: Resource) -> list[Resource]:
    """The event with one thing wrong, each in turn."""
    agents, entities = event["agent"], event["entity"]
    found = [event | {"agent": [one for one in agents if one is not agent]} for agent in agents]
    found += [event | {"entity": [one for one in entities if one is not it]} for it in entities[:2]]
    found.append(event | {"action": "R"})
    found.append(event | {"subtype": [{"system": "x", "code": "y"}]})
    found.append(event | {"source": {"observer": {"display": "another"}}})
    found.append(event | {"agent": [agents[0] | {"altId": "x"}, *agents[1:]]})
    found.append(event | {"entity": [*entities, {"type": {"system": "x", "code": "y"}}]})
    return found
