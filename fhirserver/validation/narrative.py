"""Narrative: XHTML of the allowed elements and attributes, which says something.

https://hl7.org/fhir/R4/narrative.html#rules (txt-1, txt-2)
"""

from __future__ import annotations

from fhirserver.fhirpath.functions.narrative import breach
from fhirserver.model.json import Json
from fhirserver.validation.finding import Found, error
from fhirserver.validation.scope import NOWHERE, Scope


def narrative(value: Json, scope: Scope = NOWHERE) -> Found:
    """The finding about a `div` that breaks a rule."""
    broken = breach(value) if isinstance(value, str) else None
    if broken is None:
        return None
    return [error("invariant", f"Expected XHTML as a narrative may have it, but {broken} (txt-1).")]
