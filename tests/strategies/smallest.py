"""The smallest resource of a type that R4's structure allows, made from the definitions."""

from __future__ import annotations

from fhirserver.definitions.element import Child
from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import Json, Resource
from fhirserver.terminology import Terminology

PRIMITIVES: dict[str, Json] = {
    "base64Binary": "QQ==",
    "boolean": True,
    "canonical": "http://example.org/canonical",
    "code": "a",
    "date": "2020-01-01",
    "dateTime": "2020-01-01",
    "decimal": 1,
    "id": "a",
    "instant": "2020-01-01T00:00:00Z",
    "integer": 1,
    "markdown": "text",
    "oid": "urn:oid:1.2.3",
    "positiveInt": 1,
    "string": "text",
    "time": "10:00:00",
    "unsignedInt": 1,
    "uri": "http://example.org/uri",
    "url": "http://example.org/url",
    "uuid": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
    "xhtml": '<div xmlns="http://www.w3.org/1999/xhtml">text</div>',
}


def smallest(definitions: Definitions, type: str) -> Resource:
    """A resource with its mandatory elements and no id."""
    return {"resourceType": type} | _content(definitions, Terminology(definitions), type)


# What the invariants of a type ask for beyond its structure.
_SOUND: dict[str, Resource] = {
    "AllergyIntolerance": {
        "clinicalStatus": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical",
                    "code": "active",
                }
            ]
        }
    },
    "Appointment": {"participant": [{"actor": {"display": "a"}, "status": "accepted"}]},
    "AppointmentResponse": {"actor": {"display": "a"}},
    "Bundle": {"type": "collection"},
    "CapabilityStatement": {
        "kind": "requirements",
        "description": "a",
        "rest": [{"mode": "server"}],
    },
    "Consent": {"policyRule": {"text": "a"}},
    "EventDefinition": {"trigger": [{"type": "named-event", "name": "a"}]},
    "ImmunizationRecommendation": {
        "recommendation": [
            {"vaccineCode": [{"text": "a"}], "forecastStatus": {"text": "a"}},
        ]
    },
    "InsurancePlan": {"name": "a"},
    "Linkage": {
        "item": [{"type": kind, "resource": {"display": "a"}} for kind in ("source", "alternate")]
    },
    "Organization": {"name": "a"},
    "StructureDefinition": {
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "differential": {"element": [{"id": "Patient", "path": "Patient"}]},
    },
    "TerminologyCapabilities": {"kind": "requirements", "description": "a"},
}


def sound(definitions: Definitions, type: str) -> Resource:
    """The same with what the invariants ask for, so that it is valid."""
    return smallest(definitions, type) | _SOUND.get(type, {})


def _content(definitions: Definitions, terminology: Terminology, path: str) -> Resource:
    out: Resource = {}
    done = set()
    for name, child in definitions.children(path).items():
        element = child.element
        if element.min > 0 and element.path not in done:
            done.add(element.path)
            value = _value(definitions, terminology, child)
            out[name] = value if element.max == 1 else [value]
    return out


def _value(definitions: Definitions, terminology: Terminology, child: Child) -> Json:
    if child.type in PRIMITIVES:
        binding = child.element.binding
        if child.type == "code" and binding and binding.strength == "required":
            if "mimetypes" in binding.value_set:
                return "text/plain"
            return (terminology.expand(binding.value_set) or [("", "a")])[0][1]
        return PRIMITIVES[child.type]
    if child.type == "Reference":
        profiles = [to for ref in child.element.types for to in ref.target_profiles]
        target = profiles[0].rpartition("/")[2] if profiles else "Patient"
        return {"reference": f"{'Patient' if target == 'Resource' else target}/a"}
    if child.type == "Resource":
        return smallest(definitions, "Patient")
    return _content(definitions, terminology, child.path) or _any(definitions, terminology, child)


def _any(definitions: Definitions, terminology: Terminology, child: Child) -> Resource:
    """Some one property: an element must not be empty."""
    return next(
        {name: _value(definitions, terminology, inner)}
        for name, inner in definitions.children(child.path).items()
        if name != "id" and inner.type in PRIMITIVES and inner.element.max == 1
    )
