"""Validation: is this JSON value a resource as FHIR R4 defines it, and if not, where not?

`validate(resource)` gives every finding; `examine` the same with what only a server can tell as
open questions. One module per group of rules: `primitive`, `cardinality`, `choice`, `binding`,
`invariant`, `extension`, ...; `structure` compiles them per type, `profile` per profile.
"""

from __future__ import annotations

from fhirserver.model.outcome import Issue
from fhirserver.validation.validate import Report, examine, snapshot_of, validate

__all__ = ["Issue", "Report", "examine", "snapshot_of", "validate"]
