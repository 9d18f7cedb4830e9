"""Quantities: a code of UCUM is a unit.

https://hl7.org/fhir/R4/datatypes.html#Quantity, https://ucum.org/ucum
"""

from __future__ import annotations

from typing import Any

from fhirserver.terminology.ucum import UCUM, is_unit
from fhirserver.validation.finding import Found
from fhirserver.validation.question import SystemQuestion
from fhirserver.validation.scope import NOWHERE, Scope


def quantity(value: Any, scope: Scope = NOWHERE) -> Found:
    """What is to be told of a `code` that UCUM has not."""
    if value.get("system") != UCUM:
        return None
    code = value.get("code")
    if code is None or is_unit(code):
        return None
    return [SystemQuestion(".code", UCUM, code)]
