"""The guarded store behind the gate: writes, labels, consents, relatives, the audit trail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from access.worlds import BY_NAME, POLICIES, World, binary, labelled, observation, world
from interactions.bundles import entry, transaction
from interactions.client import BASE, ids

from fhirserver.access.authority import Authority
from fhirserver.access.grant import ANONYMOUS, Grant, grant_of
from fhirserver.access.principal import Principal
from fhirserver.errors import FhirError, Forbidden, MethodNotAllowed, NotFound, Unauthenticated
from fhirserver.model.json import Resource, decode

KEEPER = BY_NAME["keeper"].grant
DOCTOR = BY_NAME["doctor"].grant
NURSE = BY_NAME["nurse"].grant
APP = BY_NAME["app"].grant


@pytest.fixture
async def place(tmp_path: Path, each_store: str) -> AsyncIterator[World]:
    async with world(tmp_path / "fhir.db", BY_NAME["keeper"], {}) as made:
        yield made


async def put(place: World, resource: Resource, grant: Grant) -> Resource:
    url = f"{resource['resourceType']}/{resource['id']}"
    answer = await place.client.ask("PUT", url, resource=resource, grant=grant)
    found: Resource = decode(answer.body or b"{}")
    return found


# --- writes ---------------------------------------------------------------------------------


@pytest.mark.check("FHA-9")
async def test_nothing_is_moved_out_of_or_into_a_record(place: World) -> None:
    with pytest.raises(Forbidden):
        await put(place, observation("o-ann", "bob"), KEEPER)
    with pytest.raises(MethodNotAllowed):  # as an id that is not there
        await put(place, observation("o-bob", "ann"), KEEPER)
    with pytest.raises(Forbidden):
        await place.client.ask("POST", "Observation", resource=_new("bob"), grant=KEEPER)
    patch = [{"op": "replace", "path": "/subject/reference", "value": "Patient/bob"}]
    with pytest.raises(Forbidden):
        await place.client.ask("PATCH", "Observation/o-ann", patch=patch, grant=KEEPER)
    bundle = transaction(
        entry("PUT", "Observation/o-ann2", observation("o-ann2", "ann", "1")),
        entry("PUT", "Observation/o-ann", observation("o-ann", "bob")),
    )
    with pytest.raises(Forbidden):
        await place.client.ask("POST", "", resource=bundle, grant=KEEPER)
    assert (await place.client.get("Observation/o-ann2"))["meta"]["versionId"] == "1"
    await put(place, observation("o-ann", "ann", "3"), KEEPER)


@pytest.mark.check("FHA-9")
async def test_what_is_written_is_about_nobody_else(place: World) -> None:
    """By a second parameter of the compartment, it would land in another's record."""
    answers = {"resourceType": "QuestionnaireResponse", "status": "completed"}
    mine = answers | {"subject": {"reference": "Patient/ann"}}
    await place.client.ask("POST", "QuestionnaireResponse", resource=mine, grant=KEEPER)
    others = answers | {
        "subject": {"reference": "Patient/bob"},
        "author": {"reference": "Patient/ann"},
    }
    with pytest.raises(Forbidden):
        await place.client.ask("POST", "QuestionnaireResponse", resource=others, grant=KEEPER)


@pytest.mark.check("FHA-11")
async def test_constraints_of_scopes_hold_before_and_after_a_write(place: World) -> None:
    await put(place, observation("o-ann", "ann", "1", note=[{"text": "new"}]), APP)
    with pytest.raises(Forbidden):  # out of the category
        await put(place, observation("o-ann", "ann", "2"), APP)
    with pytest.raises(MethodNotAllowed):  # not of the category before
        await put(place, observation("o-ann2", "ann", "1"), APP)


@pytest.mark.check("FHA-9")
async def test_labels_are_set_by_who_may(place: World) -> None:
    with pytest.raises(Forbidden):
        await put(place, labelled(observation("o-ann", "ann"), "N"), NURSE)
    with pytest.raises(Forbidden):  # what it could not read again
        await put(place, labelled(observation("o-ann", "ann"), "V"), DOCTOR)
    await put(place, labelled(observation("o-ann", "ann"), "R"), DOCTOR)
    with pytest.raises(NotFound):
        await place.client.get("Observation/o-ann", grant=NURSE)
    with pytest.raises(MethodNotAllowed):
        await put(place, observation("o-ann", "ann"), NURSE)


@pytest.mark.check("FHA-10")
async def test_a_condition_matches_what_is_visible_only(place: World) -> None:
    unless = (("code", "3"),)  # Bob has one of those
    answer = await place.client.ask(
        "POST", "Observation", resource=_new("ann"), if_none_exist=unless, grant=KEEPER
    )
    assert answer.status == 201
    answer = await place.client.ask("DELETE", "Observation?_id=o-bob", grant=KEEPER)
    assert answer.status == 204
    assert (await place.client.get("Observation/o-bob"))["id"] == "o-bob"


@pytest.mark.check("AUD-7")
async def test_the_audit_trail_is_never_written(place: World) -> None:
    event = {"resourceType": "AuditEvent", "id": "x", "recorded": "2024-01-01T00:00:00Z"}
    for role in ("admin", "doctor", "patient"):
        who = Principal("a", "t", (role,), fhir_user="Patient/ann")
        grant = grant_of(who, POLICIES)
        for ask in (
            place.client.ask("PUT", "AuditEvent/x", resource=event, grant=grant),
            place.client.ask("POST", "AuditEvent", resource=event, grant=grant),
            place.client.ask("DELETE", "AuditEvent/x", grant=grant),
        ):
            with pytest.raises(Forbidden):
                await ask


@pytest.mark.check("SEC-9")
async def test_each_entry_is_authorized_by_itself(place: World) -> None:
    bundle = transaction(
        entry("PUT", "Observation/o-ann", observation("o-ann", "ann", "1", note=[{"text": "x"}])),
        entry("POST", "Condition", {"resourceType": "Condition"}),
    )
    with pytest.raises(Forbidden):
        await place.client.ask("POST", "", resource=bundle, grant=APP)
    assert (await place.client.get("Observation/o-ann"))["meta"]["versionId"] == "1"
    batch = dict(bundle, type="batch")
    answer = await place.client.ask("POST", "", resource=batch, grant=APP)
    told = [item["response"]["status"][:3] for item in decode(answer.body or b"")["entry"]]
    assert told == ["200", "403"]


async def test_who_may_write_and_not_read_is_shown_nothing(place: World) -> None:
    who = replace(BY_NAME["app"].principal, scopes=("patient/Observation.cu",))
    grant = grant_of(who, POLICIES)
    answer = await place.client.ask("POST", "Observation", resource=_new("ann"), grant=grant)
    assert (answer.status, answer.body) == (201, None)
    body = observation("o-ann", "ann")
    answer = await place.client.ask("PUT", "Observation/o-ann", resource=body, grant=grant)
    assert (answer.status, answer.body) == (200, None)
    steps = [{"op": "replace", "path": "/status", "value": "amended"}]
    for ask in (
        place.client.ask("PATCH", "Observation/o-ann", patch=steps, grant=grant),
        place.client.ask("GET", "Observation/o-ann", grant=grant),
        place.client.ask(
            "PUT", "Observation/o-ann", resource=body, prefer="representation", grant=grant
        ),
    ):
        with pytest.raises(Forbidden):
            await ask


async def test_what_is_patched_may_be_read(place: World) -> None:
    scopes = ("patient/Observation.r?code=9", "patient/Observation.u")
    grant = grant_of(replace(BY_NAME["app"].principal, scopes=scopes), POLICIES)
    steps = [{"op": "replace", "path": "/status", "value": "amended"}]
    answer = await place.client.ask("PATCH", "Observation/o-last", patch=steps, grant=grant)
    assert answer.status == 200
    with pytest.raises(Forbidden):
        await place.client.ask("PATCH", "Observation/o-ann", patch=steps, grant=grant)


# --- who ------------------------------------------------------------------------------------


async def test_nobody_is_told_401_before_anything_else(place: World) -> None:
    for method, url in (("GET", "Patient/ann"), ("GET", "Patient/nope"), ("POST", "$expunge")):
        with pytest.raises(Unauthenticated):
            await place.client.ask(method, url, grant=ANONYMOUS)
    assert (await place.client.ask("GET", "metadata", grant=ANONYMOUS)).status == 200


@pytest.mark.check("FHA-4")
async def test_a_hop_to_a_type_that_is_denied_is_refused(place: World) -> None:
    who = replace(BY_NAME["app"].principal, scopes=("patient/Patient.rs",))
    grant = grant_of(who, POLICIES)
    for url in (
        "Patient?_has:Observation:patient:code=1",
        "Patient?organization.name=Ward",
        "Patient?_filter=organization.name eq Ward",
        "Patient?_list=1",
        "Observation?code=1",
    ):
        with pytest.raises(Forbidden):
            await place.client.get(url, grant=grant)
    assert ids(await place.client.get("Patient", grant=grant)) == ["Patient/ann"]


async def test_no_chain_leads_into_another_s_contained_resource(place: World) -> None:
    own = {
        "resourceType": "MedicationRequest",
        "id": "sly",
        "subject": {"reference": "Patient/ann"},
        "medicationReference": {"reference": "MedicationRequest/m-bob#m1"},
    }
    await place.client.put(own)
    url = "MedicationRequest?medication.code=aspirin&_include=MedicationRequest:medication"
    assert ids(await place.client.get(url, grant=KEEPER)) == ["MedicationRequest/m-ann"]


@pytest.mark.check("FHA-8")
async def test_the_whole_history_is_not_for_who_sees_one_record(place: World) -> None:
    for grant in (KEEPER, APP, BY_NAME["patient"].grant):
        with pytest.raises(Forbidden):
            await place.client.get("_history", grant=grant)
    history = await place.client.get("Observation/_history?_count=50", grant=KEEPER)
    about = {
        item["resource"]["subject"]["reference"] for item in history["entry"] if "resource" in item
    }
    assert about == {"Patient/ann"}
    assert "total" not in history


async def test_a_compartment_of_all_types_is_not_too_much(place: World) -> None:
    for grant in (KEEPER, DOCTOR):
        url = "Patient/ann/*?_has:List:item:status=current"
        assert ids(await place.client.get(url, grant=grant)) is not None
        found = await place.client.get("Patient/ann/*?_count=50", grant=grant)
        assert "Observation/o-ann" in ids(found)
    assert ids(await place.client.get("Patient/bob/*", grant=KEEPER)) == []


@pytest.mark.check("FHA-2")
async def test_a_page_link_shows_what_its_bearer_may_see(place: World) -> None:
    found = await place.client.get("Observation?_count=1", grant=KEEPER)
    url = next(item["url"] for item in found["link"] if item["relation"] == "next")
    other = replace(BY_NAME["keeper"].principal, fhir_user="Patient/bob")
    narrower = replace(other, client="app", patient="bob", scopes=("patient/Observation.rs",))
    for who in (BY_NAME["doctor"].principal, narrower):
        with pytest.raises(FhirError):
            await place.client.get(url, grant=grant_of(who, POLICIES))


async def test_a_relative_sees_the_record_of_whom_it_is_related_to(place: World) -> None:
    person = {"resourceType": "RelatedPerson", "id": "mum", "patient": {"reference": "Patient/bob"}}
    await place.client.put(person)
    of_bob = Principal("m", "t", ("patient",), fhir_user="RelatedPerson/mum", patient="bob")
    found = await place.client.get("Patient/bob", grant=grant_of(of_bob, POLICIES))
    assert found["id"] == "bob"
    of_ann = grant_of(replace(of_bob, patient="ann"), POLICIES)
    with pytest.raises(Forbidden):
        await place.client.get("Patient/ann", grant=of_ann)
    await place.client.put(person | {"active": False})
    with pytest.raises(Forbidden):
        await place.client.get("Patient/bob", grant=grant_of(of_bob, POLICIES))


async def test_a_tenants_own_policy_goes_before(place: World) -> None:
    access = place.context.access
    assert access is not None
    who = Principal("s", "t", ("support",))
    with pytest.raises(Forbidden):
        await place.client.get("Patient/ann", grant=access.grant_of(who))
    rule = '[[rule]]\ntypes = ["Patient"]\nletters = "rs"\nwhere = ["family=Ann"]\n'
    await access.set_policy("support", f'role = "support"\ntitle = "Support"\n{rule}')
    await place.client.get("Patient/ann", grant=access.grant_of(who))
    with pytest.raises(NotFound):
        await place.client.get("Patient/bob", grant=access.grant_of(who))


async def test_another_process_takes_up_a_policy(place: World) -> None:
    access = place.context.access
    assert access is not None
    other = Authority(place.context.store, access.records, place.context.now, POLICIES)
    who = Principal("s", "t", ("support",))
    assert not other.grant_of(who).policies[0].rules_for("Patient", "r")
    rule = '[[rule]]\ntypes = ["Patient"]\nletters = "r"\n'
    await access.set_policy("support", f'role = "support"\ntitle = "Support"\n{rule}')
    place.clock[0] += 2_000_000
    definitions, indexer = place.context.definitions, place.context.indexer
    await other.guard(other.grant_of(who), indexer, definitions, "", writes=False)
    assert other.grant_of(who).policies[0].rules_for("Patient", "r")


# --- consents -------------------------------------------------------------------------------


@pytest.mark.check("FHA-17")
@pytest.mark.check("FHA-18")
async def test_an_opt_out_acts_at_once_and_spares_the_care_team(place: World) -> None:
    with pytest.raises(NotFound):
        await place.client.get("Patient/cat", grant=DOCTOR)
    team = {
        "resourceType": "CareTeam",
        "id": "team",
        "status": "active",
        "subject": {"reference": "Patient/cat"},
        "participant": [{"member": {"reference": "Practitioner/nur"}}],
    }
    with pytest.raises(Forbidden):  # nobody lets oneself in
        await place.client.ask("POST", "CareTeam", resource=_without_id(team), grant=DOCTOR)
    await place.client.put(team)
    await place.client.get("Patient/cat", grant=DOCTOR)
    await place.client.put(team | {"status": "inactive"})
    with pytest.raises(NotFound):
        await place.client.get("Patient/cat", grant=DOCTOR)
    consent = await place.client.get("Consent/cat-out")
    await place.client.put(consent | {"status": "inactive"})
    await place.client.get("Patient/cat", grant=DOCTOR)


@pytest.mark.check("FHA-18")
@pytest.mark.parametrize(
    "reference", ["Patient/cat/_history/1", "http://example.org/fhir/Patient/cat"]
)
async def test_a_record_is_told_by_whatever_form_of_reference(place: World, reference: str) -> None:
    subject = {"reference": reference}
    await place.client.put(observation("o-form", "cat") | {"subject": subject})
    with pytest.raises(NotFound):
        await place.client.get("Observation/o-form", grant=DOCTOR)
    assert ids(await place.client.get("Observation?_id=o-form", grant=DOCTOR)) == []
    assert ids(await place.client.get("Observation?_id=o-form")) == ["Observation/o-form"]


async def _consent(place: World, provision: Resource, opt: str = "OPTIN") -> None:
    await place.client.put(
        {
            "resourceType": "Consent",
            "id": "bob-c",
            "status": "active",
            "scope": {"coding": [{"code": "patient-privacy"}]},
            "patient": {"reference": "Patient/bob"},
            "policyRule": {"coding": [{"code": opt}]},
            "provision": provision,
        }
    )


async def _sees(place: World, grant: Grant) -> set[str]:
    found = await place.client.get("Observation?patient=bob&_count=50", grant=grant)
    return {item["resource"]["id"] for item in found.get("entry", ())}


_ALL = {"o-bob", "o-bob2", "o-out"}
_TYPES = "http://hl7.org/fhir/resource-types"
_ACTOR = [{"reference": {"reference": "Practitioner/nur"}}]
_OTHER = [{"reference": {"reference": "Practitioner/doc"}}]


def _deny(**more: object) -> Resource:
    return {"provision": [{"type": "deny", **more}]}


@pytest.mark.check("FHA-18")
@pytest.mark.parametrize(
    ("opt", "provision", "seen"),
    [
        pytest.param("OPTIN", {}, _ALL, id="opt-in"),
        pytest.param("OPTOUT", {}, set(), id="opt-out"),
        pytest.param("OPTIN", {"type": "deny"}, set(), id="root type"),
        pytest.param(
            "OPTIN", {"provision": [{"type": "deny", "actor": _ACTOR}]}, set(), id="actor"
        ),
        pytest.param(
            "OPTIN", {"provision": [{"type": "deny", "actor": _OTHER}]}, _ALL, id="another"
        ),
        pytest.param(
            "OPTIN",
            {"provision": [{"type": "deny", "class": [{"system": _TYPES, "code": "Observation"}]}]},
            set(),
            id="class",
        ),
        pytest.param(
            "OPTIN",
            {"provision": [{"type": "deny", "class": [{"system": _TYPES, "code": "Encounter"}]}]},
            _ALL,
            id="another class",
        ),
        pytest.param(
            "OPTIN",
            {"provision": [{"type": "deny", "code": [{"coding": [{"code": "3"}]}]}]},
            {"o-bob", "o-out"},
            id="code",
        ),
        pytest.param(
            "OPTIN",
            {
                "provision": [
                    {
                        "type": "deny",
                        "data": [
                            {"meaning": "instance", "reference": {"reference": "Observation/o-bob"}}
                        ],
                    }
                ]
            },
            {"o-bob2", "o-out"},
            id="data",
        ),
        pytest.param(
            "OPTIN",
            {"provision": [{"type": "deny", "purpose": [{"code": "HRESCH"}]}]},
            _ALL,
            id="another purpose",
        ),
        pytest.param(
            "OPTIN",
            {"provision": [{"type": "deny", "action": [{"coding": [{"code": "correct"}]}]}]},
            _ALL,
            id="another action",
        ),
        pytest.param(
            "OPTIN",
            {"provision": [{"type": "deny", "period": {"end": "2020"}}]},
            _ALL,
            id="expired",
        ),
        pytest.param(
            "OPTIN",
            {"provision": [{"type": "deny", "period": {"start": "not a date"}}]},
            set(),
            id="unreadable period",
        ),
        pytest.param(
            "OPTOUT",
            {"provision": [{"type": "permit", "actor": _ACTOR}]},
            _ALL,
            id="exception",
        ),
        pytest.param(
            "OPTOUT",
            {"provision": [{"type": "permit", "actor": _ACTOR}, {"type": "deny", "actor": _ACTOR}]},
            set(),
            id="deny before permit",
        ),
        pytest.param(
            "OPTOUT",
            {
                "provision": [
                    {
                        "type": "permit",
                        "actor": _ACTOR,
                        "provision": [{"type": "deny", "code": [{"coding": [{"code": "3"}]}]}],
                    }
                ]
            },
            {"o-bob", "o-out"},
            id="exception of an exception",
        ),
    ],
)
async def test_provisions(place: World, opt: str, provision: Resource, seen: set[str]) -> None:
    await _consent(place, provision, opt)
    assert await _sees(place, DOCTOR) == seen
    assert await _sees(place, grant_of(Principal("ad", "t", ("admin",)))) >= _ALL


@pytest.mark.check("FHA-18")
async def test_a_provision_begins_and_ends_by_the_clock(place: World) -> None:
    at = place.clock[0] // 1_000_000 + 100
    start, end = (datetime.fromtimestamp(at + more, UTC).isoformat() for more in (0, 100))
    await _consent(place, {"provision": [{"type": "deny", "period": {"start": start, "end": end}}]})
    assert await _sees(place, DOCTOR) == _ALL
    place.clock[0] += 150 * 1_000_000
    assert await _sees(place, DOCTOR) == set()
    place.clock[0] += 100 * 1_000_000
    assert await _sees(place, DOCTOR) == _ALL


def _new(subject: str) -> Resource:
    return _without_id(observation("", subject))


def _without_id(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if name != "id"}


async def test_everything_is_what_the_caller_may_search_of_it(tmp_path: Path) -> None:
    nurse = BY_NAME["nurse"]
    async with world(tmp_path / "fhir.db", nurse, {}) as place:
        found = await place.client.get("Patient/bob/$everything", grant=nurse.grant)
        types = {item["resource"]["resourceType"] for item in found["entry"]}
        assert {"Patient", "Observation"} <= types
        with pytest.raises(Forbidden):  # of which nurses see nothing
            await place.client.get("Patient/bob/$everything?_type=Account", grant=nurse.grant)


@pytest.mark.check("FHA-15")
async def test_a_part_of_a_resource_has_no_narrative_that_tells_the_rest(place: World) -> None:
    text = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">fever</div>'}
    await place.client.put(observation("o-text", "bob") | {"text": text})
    for part in ("_elements=status", "_summary=data"):
        answer = await place.client.get(f"Observation/o-text?{part}", grant=DOCTOR)
        assert "text" not in answer
        assert answer["meta"]["tag"][0]["code"] == "SUBSETTED"


@pytest.mark.check("FHA-15")
async def test_what_is_contained_is_not_told_without_its_container(place: World) -> None:
    of_ann = BY_NAME["patient"].grant
    found = await place.client.get("Medication?_contained=true&code=aspirin", grant=of_ann)
    ids = [entry["resource"]["id"] for entry in found.get("entry", ())]
    assert ids
    assert "m-bob" not in ids


# --- Binary.securityContext -----------------------------------------------------------------


@pytest.mark.check("FHA-3")
@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("patient", {"b-ann", "b-v"}),
        ("keeper", {"b-ann", "b-v"}),
        ("app", set()),  # no scope for Binary
        ("doctor", {"b-ann", "b-bob"}),
        ("nurse", {"b-ann", "b-bob"}),
        ("support", set()),
    ],
)
async def test_a_binary_is_read_by_who_reads_what_it_belongs_to(
    place: World, name: str, seen: set[str]
) -> None:
    grant = BY_NAME[name].grant
    assert await binaries(place, grant) == seen
    for id in seen:
        for way in (f"Binary/{id}/_history/1", f"Binary/{id}/_history"):
            await place.client.get(way, grant=grant)
    with pytest.raises(Forbidden):  # it is read by its id only
        await place.client.get("Binary", grant=grant)


async def binaries(place: World, grant: Grant) -> set[str]:
    found = set()
    for id in ("b-ann", "b-bob", "b-cat", "b-v", "b-none"):
        try:
            await place.client.get(f"Binary/{id}", grant=grant)
            found.add(id)
        except (NotFound, Forbidden):
            pass
    return found


@pytest.mark.parametrize(
    ("scopes", "seen"),
    [
        (("patient/Binary.r", "patient/Observation.r"), {"b-ann"}),
        (("patient/*.rs",), {"b-ann"}),
        (("patient/Binary.r", "user/Observation.r"), {"b-ann"}),  # of that patient's record
        (("user/Binary.r", "user/Observation.r"), {"b-ann", "b-bob"}),
        (("user/Binary.r", "patient/Observation.r"), {"b-ann"}),
        (("patient/Binary.r",), set()),
        (("patient/Observation.rs",), set()),
        (("patient/Binary.r", "patient/Observation.r?category=vital-signs"), set()),
    ],
)
async def test_scopes_for_a_binary_and_what_it_belongs_to(
    place: World, scopes: tuple[str, ...], seen: set[str]
) -> None:
    doctor = replace(BY_NAME["app"].principal, scopes=scopes)
    assert await binaries(place, grant_of(doctor, POLICIES)) == seen


async def test_a_binary_goes_with_what_it_belongs_to(place: World) -> None:
    of_ann = BY_NAME["patient"].grant
    for url in (
        "https://elsewhere.example.org/fhir/Observation/o-ann",
        "Binary/b-ann",
        "Observation/nothing",
        "urn:uuid:7d0e0e7e-0000-4000-8000-000000000000",
    ):
        await place.client.put(binary("b-odd", url))
        with pytest.raises(NotFound):
            await place.client.get("Binary/b-odd", grant=of_ann)
    await place.client.put(binary("b-odd", "Binary/b-odd"))  # its own: nobody's
    with pytest.raises(NotFound):
        await place.client.get("Binary/b-odd", grant=of_ann)
    await place.client.put(binary("b-odd", f"{BASE}/Observation/o-ann"))
    await place.client.get("Binary/b-odd", grant=of_ann)
    with pytest.raises(NotFound):  # it was another's
        await place.client.get("Binary/b-odd/_history/1", grant=of_ann)
    await place.client.put(observation("o-ann", "bob"))
    for id in ("b-odd", "b-ann"):
        with pytest.raises(NotFound):
            await place.client.get(f"Binary/{id}", grant=of_ann)
