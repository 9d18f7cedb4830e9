"""The profiles of this server itself: what keeps to them and what does not."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import date
from decimal import Decimal
from typing import Any, Final

import pytest

from fhirserver.definitions.packaged import packaged
from fhirserver.demo.population import patients
from fhirserver.model.json import Resource
from fhirserver.validation import snapshot_of, validate

URL: Final = "urn:fhirserver:StructureDefinition:"
TYPES: Final = {
    "patient": "Patient",
    "appointment": "Appointment",
    "medicationrequest": "MedicationRequest",
    "observation": "Observation",
    "imagingstudy": "ImagingStudy",
    "invoice": "Invoice",
    "auditevent": "AuditEvent",
}
PATIENT: Final = {"reference": "Patient/1"}
CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
UCUM: Final = "http://unitsofmeasure.org"

GOOD: Final[Mapping[str, Resource]] = {
    "patient": {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:oid:1.2.3", "value": "7"}],
        "name": [{"family": "Nagy", "given": ["Anna"]}],
        "gender": "female",
        "birthDate": "1961-04-02",
    },
    "appointment": {
        "resourceType": "Appointment",
        "status": "booked",
        "start": "2026-11-20T09:00:00Z",
        "end": "2026-11-20T09:20:00Z",
        "participant": [{"actor": PATIENT, "status": "accepted"}],
    },
    "medicationrequest": {
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": {"text": "aspirin"},
        "subject": PATIENT,
        "authoredOn": "2026-11-20",
        "requester": {"reference": "Practitioner/1"},
        "dosageInstruction": [{"text": "one a day"}],
    },
    "observation": {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": PATIENT,
        "effectiveDateTime": "2026-11-20",
        "valueQuantity": {"value": Decimal(70), "unit": "/min", "system": UCUM, "code": "/min"},
    },
    "imagingstudy": {
        "resourceType": "ImagingStudy",
        "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.840.1"}],
        "status": "available",
        "subject": PATIENT,
        "started": "2026-11-20",
        "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}],
    },
    "invoice": {
        "resourceType": "Invoice",
        "identifier": [{"system": "urn:oid:1.2.4", "value": "1"}],
        "status": "issued",
        "subject": PATIENT,
        "date": "2026-11-20",
        "lineItem": [{"chargeItemCodeableConcept": {"text": "visit"}}],
        "totalNet": {"value": Decimal(10), "currency": "USD"},
        "totalGross": {"value": Decimal(12), "currency": "USD"},
    },
    "auditevent": {
        "resourceType": "AuditEvent",
        "type": {
            "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
            "code": "rest",
        },
        "action": "R",
        "recorded": "2026-11-20T09:00:00Z",
        "outcome": "0",
        "agent": [{"name": "anna", "requestor": True}],
        "source": {"observer": {"display": "server"}},
    },
}
"""An instance of each that keeps to it."""

BAD: Final[list[tuple[str, str, Any, str]]] = [
    ("patient", "identifier", [{"value": "7"}], "system"),
    ("patient", "identifier", None, "identifier"),
    ("patient", "name", None, "name"),
    ("patient", "gender", None, "gender"),
    ("patient", "birthDate", None, "own-pat-1"),
    ("appointment", "end", None, "own-app-1"),
    ("appointment", "participant", [{"actor": {"reference": "Location/1"}, "status": "accepted"}],
     "own-app-1"),
    ("appointment", "participant", [{"type": [{"text": "x"}], "status": "accepted"}], "actor"),
    ("medicationrequest", "subject", {"reference": "Group/1"}, "Patient"),
    ("medicationrequest", "authoredOn", None, "authoredOn"),
    ("medicationrequest", "requester", None, "requester"),
    ("medicationrequest", "dosageInstruction", None, "own-med-1"),
    ("observation", "subject", None, "subject"),
    ("observation", "effectiveDateTime", None, "own-obs-1"),
    ("observation", "valueQuantity", {"value": Decimal(70), "unit": "bpm"}, "own-obs-2"),
    ("imagingstudy", "identifier", [{"system": "urn:x:y", "value": "1"}], "own-img-1"),
    ("imagingstudy", "subject", {"reference": "Device/1"}, "Patient"),
    ("imagingstudy", "started", None, "started"),
    ("imagingstudy", "modality", None, "modality"),
    ("invoice", "lineItem", None, "own-inv-1"),
    ("invoice", "totalGross", {"value": Decimal(12), "currency": "EUR"}, "own-inv-2"),
    ("invoice", "subject", None, "subject"),
    ("auditevent", "action", None, "action"),
    ("auditevent", "outcome", None, "outcome"),
    ("auditevent", "agent", [{"requestor": True}], "own-aud-1"),
]  # fmt: skip
"""Profile, element, what stands there instead, and what is told."""


def errors(name: str, resource: Resource) -> list[str]:
    return [issue.text for issue in validate(resource, [URL + name]) if issue.is_error]


@pytest.mark.parametrize("name", TYPES)
def test_what_keeps_to_it_is_taken(name: str) -> None:
    assert errors(name, GOOD[name]) == []


@pytest.mark.parametrize(("name", "element", "value", "told"), BAD)
def test_what_breaks_it_is_told(name: str, element: str, value: Any, told: str) -> None:
    resource = deepcopy(GOOD[name])
    if value is None:
        del resource[element]
    else:
        resource[element] = value
    assert any(told in text for text in errors(name, resource))


@pytest.mark.parametrize(("name", "type"), TYPES.items())
def test_it_is_a_sound_differential(name: str, type: str) -> None:
    definition = packaged().shelf("StructureDefinition").get(URL + name)
    assert definition is not None
    assert definition["type"] == type
    assert "snapshot" not in definition
    assert len(snapshot_of(definition)) > len(definition["differential"]["element"])
    assert not [issue for issue in validate(definition) if issue.is_error]
    assert all(
        item.get("short") or item.get("constraint")
        for item in definition["differential"]["element"]
    )


def test_nothing_of_it_is_asked_where_it_is_not_named() -> None:
    assert not any(issue.is_error for issue in validate({"resourceType": "Patient"}))


def test_the_demonstration_data_keep_to_them() -> None:
    by_type = {type: name for name, type in TYPES.items()}
    seen = set()
    for bundle in patients(20, 7, date(2026, 11, 20)):
        for entry in bundle["entry"]:
            resource = entry["resource"]
            name = by_type.get(resource["resourceType"])
            if name is not None:
                seen.add(name)
                assert errors(name, resource) == [], resource
    assert seen == set(TYPES) - {"imagingstudy", "auditevent"}  # of which there are none
