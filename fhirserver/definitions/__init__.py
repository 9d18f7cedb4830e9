"""Registries of what FHIR defines: structures, search parameters, operations, terminology.

`packaged()` gives those of the standard; `Definitions.of` builds one from JSON values.
"""

from __future__ import annotations

from fhirserver.definitions.packaged import packaged
from fhirserver.definitions.registry import Definitions

__all__ = ["Definitions", "packaged"]
