"""The functions of FHIRPath, a module for each chapter of the specification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhirserver.fhirpath.functions import (
    aggregates,
    combining,
    conversion,
    existence,
    fhir,
    filtering,
    math,
    navigation,
    strings,
    subsetting,
    types,
    utility,
)
from fhirserver.fhirpath.functions.function import Function

FUNCTIONS: Final[Mapping[str, Function]] = {
    **existence.FUNCTIONS,
    **filtering.FUNCTIONS,
    **subsetting.FUNCTIONS,
    **combining.FUNCTIONS,
    **conversion.FUNCTIONS,
    **strings.FUNCTIONS,
    **math.FUNCTIONS,
    **navigation.FUNCTIONS,
    **utility.FUNCTIONS,
    **aggregates.FUNCTIONS,
    **types.FUNCTIONS,
    **fhir.FUNCTIONS,
}
