"""The search parameter types, one module each: what is indexed and what can be asked."""

from __future__ import annotations

from fhirserver.search.expression import Kind
from fhirserver.search.parameter import ParameterType
from fhirserver.search.params.composite import COMPOSITE, PARTS
from fhirserver.search.params.position import POSITION

PARAMETER_TYPES: dict[Kind, ParameterType] = {**PARTS, "composite": COMPOSITE, "position": POSITION}

__all__ = ["PARAMETER_TYPES"]
