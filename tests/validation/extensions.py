"""Definitions of extensions for tests."""

from __future__ import annotations

from typing import Any, Final

from fhirserver.model.json import Resource

CORE: Final = "http://hl7.org/fhir/StructureDefinition"
OWN: Final = "http://example.org/colour"


def colour(**more: Any) -> Resource:
    """The definition of an extension that holds a code, on Patients."""
    return {
        "resourceType": "StructureDefinition",
        "url": OWN,
        "name": "Colour",
        "status": "draft",
        "kind": "complex-type",
        "abstract": False,
        "type": "Extension",
        "baseDefinition": f"{CORE}/Extension",
        "derivation": "constraint",
        "context": [{"type": "element", "expression": "Patient"}],
        "differential": {
            "element": [
                {"id": "Extension", "path": "Extension"},
                {"id": "Extension.url", "path": "Extension.url", "fixedUri": OWN},
                {
                    "id": "Extension.value[x]",
                    "path": "Extension.value[x]",
                    "min": 1,
                    "type": [{"code": "code"}],
                },
            ]
        },
    } | more
