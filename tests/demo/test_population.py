import os
import subprocess
import sys
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256
from html import unescape

from fhirserver.definitions.packaged import packaged
from fhirserver.demo.population import patients
from fhirserver.model.json import Resource, encode
from fhirserver.model.reference import literal, references
from fhirserver.validation import validate

TODAY = date(2026, 11, 20)

_DIGEST = """
from datetime import date; from hashlib import sha256
from fhirserver.demo.population import patients
from fhirserver.model.json import encode
print(sha256(b"".join(map(encode, patients(12, 7, date(2026, 11, 20))))).hexdigest())
"""


def test_a_seed_gives_the_same_bytes_in_every_process() -> None:
    here = sha256(b"".join(map(encode, patients(12, 7, TODAY)))).hexdigest()
    for hash_seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": hash_seed}
        there = subprocess.run(
            [sys.executable, "-c", _DIGEST], env=env, capture_output=True, text=True, check=True
        )
        assert there.stdout.strip() == here


def test_another_seed_gives_others() -> None:
    assert list(patients(3, 1, TODAY)) != list(patients(3, 2, TODAY))


def test_the_first_patients_do_not_depend_on_how_many_there_are(bundles: list[Resource]) -> None:
    assert list(patients(9, 7, TODAY)) == bundles[:10]


def test_everything_is_valid(resources: list[Resource]) -> None:
    findings = [
        (one["id"], issue) for one in resources for issue in validate(one) if issue.is_error
    ]
    assert findings == []


def test_every_reference_leads_to_a_resource_of_a_type_that_the_element_allows(
    resources: list[Resource],
) -> None:
    there = {f"{one['resourceType']}/{one['id']}" for one in resources}
    for resource in resources:
        for place in references(resource, resource["resourceType"]):
            url = place.holder["reference"]
            assert literal(url) and url in there, (resource["id"], place.expression, url)


def test_ids_are_used_once_and_everything_is_marked_as_test_data(
    resources: list[Resource],
) -> None:
    ids = Counter((one["resourceType"], one["id"]) for one in resources)
    assert max(ids.values()) == 1
    for one in resources:
        assert [tag["code"] for tag in one["meta"]["tag"]] == ["HTEST"], one["id"]


def test_all_that_a_chart_needs_is_there(resources: list[Resource]) -> None:
    assert {one["resourceType"] for one in resources} >= {
        "Organization", "Location", "Practitioner", "PractitionerRole", "HealthcareService",
        "Schedule", "Slot", "Patient", "RelatedPerson", "Encounter", "Condition", "Observation",
        "DiagnosticReport", "ServiceRequest", "MedicationRequest", "AllergyIntolerance",
        "Immunization", "Procedure", "Appointment", "Coverage", "Account", "ChargeItem",
        "Invoice", "CarePlan", "Goal", "Task", "Communication", "Composition",
    }  # fmt: skip


def test_codes_of_known_systems_exist_under_the_display_given(codings: list[Resource]) -> None:
    definitions = packaged()
    checked = 0
    for coding in codings:
        system = definitions.code_system(coding["system"])
        if system is None or not system.is_complete:
            continue
        checked += 1
        concept = system.concepts.get(coding["code"])
        assert concept is not None, coding
        assert coding.get("display") in (None, concept.display), coding
    assert checked > 40


def test_names_keep_their_accents_and_scripts(resources: list[Resource]) -> None:
    names = "".join(
        name["family"] + "".join(name["given"])
        for one in resources
        if one["resourceType"] == "Patient"
        for name in one["name"]
    )
    assert sum(ord(letter) > 127 for letter in names) > 50
    assert any("\u4e00" <= letter <= "\u9fff" for letter in names)


def test_systolic_is_above_diastolic_and_bmi_follows_from_height_and_weight(
    bundles: list[Resource],
) -> None:
    checked = 0
    for bundle in bundles[1:]:
        rounds: dict[str, dict[str, Decimal]] = {}
        for one in _of(bundle, "Observation"):
            values = rounds.setdefault(one["encounter"]["reference"], {})
            for part in one.get("component", [one]):
                values[part["code"]["coding"][0]["code"]] = part["valueQuantity"]["value"]
        for values in rounds.values():
            if "8480-6" in values:
                assert values["8480-6"] > values["8462-4"] + 10
            if {"39156-5", "8302-2", "29463-7"} <= values.keys():
                metres = values["8302-2"] / 100
                assert abs(values["29463-7"] / metres**2 - values["39156-5"]) < Decimal("0.06")
                checked += 1
    assert checked > 50


def test_nothing_happened_after_today_or_after_death_or_before_birth(
    bundles: list[Resource],
) -> None:
    dead = 0
    for bundle in bundles[1:]:
        patient = bundle["entry"][0]["resource"]
        dead += "deceasedDateTime" in patient
        last = patient.get("deceasedDateTime", TODAY.isoformat())
        for one in _of(bundle, "Encounter"):
            assert patient["birthDate"] <= one["period"]["start"][:10]
            assert one["period"]["start"] < one["period"]["end"]
            assert one["period"]["end"][:10] <= last or one["class"]["code"] == "IMP"
        for one in _of(bundle, "Immunization"):
            assert patient["birthDate"] <= one["occurrenceDateTime"] <= last
        if "deceasedDateTime" in patient:
            assert not [one for one in _of(bundle, "Appointment") if one["status"] == "booked"]
    assert dead


def test_no_doctor_is_booked_twice_at_one_time(resources: list[Resource]) -> None:
    booked = Counter(
        (one["participant"][1]["actor"]["reference"], one["start"])
        for one in resources
        if one["resourceType"] == "Appointment" and one["status"] == "booked"
    )
    assert max(booked.values()) == 1
    soon = (TODAY + timedelta(days=1)).isoformat()
    assert any(start > soon for _, start in booked)


def test_slots_do_not_overlap_in_a_schedule(resources: list[Resource]) -> None:
    starts = Counter(
        (one["schedule"]["reference"], one["start"])
        for one in resources
        if one["resourceType"] == "Slot"
    )
    assert max(starts.values()) == 1


def test_an_invoice_adds_up(resources: list[Resource]) -> None:
    invoices = [one for one in resources if one["resourceType"] == "Invoice"]
    assert invoices
    for invoice in invoices:
        parts = [
            part["amount"]["value"]
            for line in invoice["lineItem"]
            for part in line["priceComponent"]
        ]
        assert sum(parts) == invoice["totalGross"]["value"] >= 0


def test_notes_are_well_formed(resources: list[Resource]) -> None:
    notes = [one for one in resources if one["resourceType"] == "Composition"]
    for note in notes:
        for section in note["section"]:
            div = section["text"]["div"]
            assert div.startswith('<div xmlns="http://www.w3.org/1999/xhtml">')
            assert "<" not in unescape(div)[42:-6].replace("<p>", "").replace("</p>", "")


def _of(bundle: Resource, type: str) -> list[Resource]:
    return [
        entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == type
    ]
