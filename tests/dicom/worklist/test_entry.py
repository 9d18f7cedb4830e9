"""Entries of orders, attribute by attribute."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from fhirserver.dicom.mapping.attributes import items, text
from fhirserver.dicom.mapping.person_name import human_names
from fhirserver.dicom.worklist.element import coded, person_name
from fhirserver.dicom.worklist.entry import (
    Order,
    accession_number,
    entries,
    minted_study_uid,
    study_uid_of,
)
from fhirserver.dicom.worklist.patient import patient_module

DCM = "http://dicom.nema.org/resources/ontology/DCM"
TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
PATIENT = {"resourceType": "Patient", "id": "p"}


def identifier(code: str, value: str, **more):
    return {"type": {"coding": [{"system": TYPES, "code": code}]}, "value": value, **more}


def step(request, *tasks, **more):
    """The scheduled procedure step of an order's only entry."""
    (entry,) = entries(Order({"id": "o", **request}, PATIENT, tasks, **more), "1.2", station="ME")
    return items(entry, "00400100")[0]


@pytest.mark.parametrize(
    ("identifiers", "found"),
    [
        ([], ("", "")),
        ([identifier("PLAC", "P"), identifier("ACSN", "A", system="urn:x")], ("A", "urn:x")),
        ([identifier("PLAC", "P"), identifier("FILL", "F")], ("F", "")),
        ([identifier("ACSN", "x" * 17), identifier("PLAC", "P")], ("P", "")),
        ([identifier("ACSN", "back\\slash")], ("", "")),
    ],
)
def test_accession_number(identifiers, found):
    assert accession_number({"identifier": identifiers}) == found


def test_a_minted_uid_is_one_and_always_the_same():
    made = minted_study_uid("https://a.example.org/fhir", "1")
    assert made == minted_study_uid("https://a.example.org/fhir", "1")
    assert made != minted_study_uid("https://b.example.org/fhir", "1")
    assert made.startswith("2.25.")
    assert len(made) <= 64
    known = {"identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{made}"}]}
    assert study_uid_of(known) == made


@pytest.mark.parametrize(
    ("request_", "task", "appointments", "when"),
    [
        ({"authoredOn": "2026-01-01"}, {}, (), ("20260101", "")),
        ({"occurrenceDateTime": "2026-01-02T08:00:00Z"}, {}, (), ("20260102", "080000")),
        ({"occurrencePeriod": {"start": "2026-01-03"}}, {}, (), ("20260103", "")),
        (
            {"occurrenceDateTime": "2026-01-02"},
            {},
            ({"status": "booked", "start": "2026-01-04T09:30:00Z"},),
            ("20260104", "093000"),
        ),
        (
            {"authoredOn": "2026-01-01"},
            {},
            ({"status": "cancelled", "start": "2026-01-04T09:30:00Z"},),
            ("20260101", ""),
        ),
        ({}, {"restriction": {"period": {"start": "2026-01-05"}}}, (), ("20260105", "")),
        ({"authoredOn": "2026"}, {}, (), ("", "")),
    ],
)
def test_when_a_step_is_due(request_, task, appointments, when):
    found = step(request_, {"id": "t", "status": "requested", **task}, appointments=appointments)
    assert (text(found, "00400002"), text(found, "00400003")) == when


def test_in_the_zone_of_the_peer():
    order = Order({"id": "o", "occurrenceDateTime": "2026-07-01T23:30:00Z"}, PATIENT)
    (entry,) = entries(order, "1.2", station="ME", zone=ZoneInfo("Europe/Vienna"))
    found = items(entry, "00400100")[0]
    assert (text(found, "00400002"), text(found, "00400003")) == ("20260702", "013000")


def test_station_and_modality():
    title = {"type": {"coding": [{"system": DCM, "code": "110119"}]}, "value": "MR7"}
    device = {"identifier": [title]}
    assert text(step({}), "00400001") == "ME"
    owned = {"id": "t", "status": "ready", "owner": {"reference": "Device/d"}}
    found = step({}, owned, devices={"Device/d": device})
    assert (text(found, "00400001"), text(found, "00400020")) == ("MR7", "READY")
    detail = {"orderDetail": [{"coding": [{"system": DCM, "code": "MG"}]}]}
    assert text(step(detail), "00080060") == "MG"
    assert text(step({"code": {"coding": [{"system": DCM, "code": "113014"}]}}), "00080060") == "OT"


def test_steps_that_are_done_leave_nothing():
    order = Order({"id": "o"}, PATIENT, ({"id": "t", "status": "completed"},))
    assert entries(order, "1.2", station="ME") == []
    performed = {"id": "t", "status": "completed", "identifier": [{"system": "urn:dicom:uid"}]}
    assert len(entries(Order({"id": "o"}, PATIENT, (performed,)), "1.2", station="ME")) == 1


def test_names_go_there_and_back():
    data = {
        "00100010": {
            "vr": "PN",
            "Value": [{"Alphabetic": "Yamada^Tarou^^Dr.^MD", "Ideographic": "山田^太郎"}],
        }
    }
    assert person_name(human_names(data, "00100010")) == data["00100010"]


@pytest.mark.parametrize(
    "name", [{"text": "a^b=c\\d"}, {"family": "x" * 100}, {"given": [None, "A"]}, {}]
)
def test_no_name_breaks_an_entry(name):
    made = person_name([name])
    for group in made.get("Value", [{}])[0].values():
        assert len(group) <= 64
        assert "\\" not in group
        assert "=" not in group


def test_the_number_of_the_hospital_comes_first():
    patient = {
        "identifier": [
            {"value": "old", "use": "old"},
            {"value": "S1", "system": "urn:oid:1.2.3"},
            identifier("MR", "7", system="urn:dicom:issuer:NORTH%20WING"),
        ],
        "gender": "unknown",
        "birthDate": "1970",
    }
    found = patient_module(patient)
    assert (text(found, "00100020"), text(found, "00100021")) == ("7", "NORTH WING")
    assert (text(found, "00100030"), text(found, "00100040")) == ("", "")
    (other,) = items(found, "00101002")
    assert text(other, "00100020") == "S1"
    assert text(items(other, "00100024")[0], "00400032") == "1.2.3"


def test_codes_without_a_designator_or_too_long_are_left_out():
    concept = {
        "coding": [
            {"system": "http://loinc.org", "code": "24725-4", "display": "CT Head"},
            {"system": "http://example.org/codes", "code": "1"},
            {"system": "urn:dicom:coding-scheme:99LOCAL", "code": "x" * 17},
            {"system": "urn:dicom:coding-scheme:99LOCAL", "code": "H"},
        ]
    }
    made = items({"1": coded(concept)}, "1")
    found = [(text(one, "00080100"), text(one, "00080102")) for one in made]
    assert found == [("24725-4", "LN"), ("H", "99LOCAL")]
