"""Parameters that terminology operations take beside those of their definitions.

They are those of R5 or of the HL7 tx-ecosystem, with the types of their values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MORE: Final[Mapping[str, str]] = {"cache-id": "id"}
"""Parameters of every operation, and"""

REPEATED: Final[Mapping[str, str]] = {
    "tx-resource": "Resource",
    "useSupplement": "canonical",
    "system-version": "canonical",
    "check-system-version": "canonical",
    "force-system-version": "canonical",
    "default-valueset-version": "canonical",
}
"""those that can be given several times."""

OF_EXPAND: Final[Mapping[str, str]] = {**REPEATED, "property": "string"}
"""The latter, of $expand."""
