"""What the tests of FHIRPath share."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fhirserver.model.json import Resource


@pytest.fixture
def patient() -> Resource:
    return {
        "resourceType": "Patient",
        "id": "p1",
        "active": True,
        "name": [
            {"use": "official", "family": "Chalmers", "given": ["Peter", "James"]},
            {"use": "usual", "given": ["Jim"]},
            {"use": "maiden", "family": "Windsor", "given": ["Peter"], "period": {"end": "2002"}},
        ],
        "telecom": [
            {"system": "phone", "value": "(03) 5555 6473", "rank": 1},
            {"system": "email", "value": "p@example.org"},
        ],
        "birthDate": "1974-12-25",
        "_birthDate": {
            "extension": [
                {
                    "url": "http://example.org/birthTime",
                    "valueDateTime": "1974-12-25T14:35:45-05:00",
                }
            ]
        },
        "deceasedBoolean": False,
        "contained": [{"resourceType": "Organization", "id": "org", "name": "Acme"}],
        "managingOrganization": {"reference": "#org"},
        "generalPractitioner": [
            {"reference": "Practitioner/1"},
            {"reference": "https://other.org/fhir/Organization/2/_history/3"},
            {"type": "PractitionerRole", "identifier": {"value": "x"}},
            {"reference": "urn:uuid:0d3b3e2e-9a40-4d8a-9a55-6a4ac8fa3a5d"},
        ],
    }


@pytest.fixture
def observation() -> Resource:
    return {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}], "text": "Weight"},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2016-03-28",
        "valueQuantity": {
            "value": Decimal("185.0"),
            "unit": "lbs",
            "system": "http://unitsofmeasure.org",
            "code": "[lb_av]",
        },
        "component": [
            {"code": {"text": "a"}, "valueString": "high"},
            {"code": {"text": "b"}, "_valueString": {"extension": [{"url": "http://e.org/n"}]}},
            {"code": {"text": "c"}, "valueCodeableConcept": {"text": "low"}},
        ],
    }
