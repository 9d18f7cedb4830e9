"""Validation: is this JSON value a resource as FHIR R4 defines it, and if not, where not?

`validate(resource)` gives every finding. One module per group of rules: `primitive`,
`cardinality`, `choice`; `structure` compiles them per type.
"""

from __future__ import annotations

from fhirserver.model.outcome import Issue
from fhirserver.validation.validate import validate

__all__ = ["Issue", "validate"]
