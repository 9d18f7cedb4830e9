"""Attachments: the size that is told is that of the data.

https://hl7.org/fhir/R4/datatypes.html#Attachment
"""

from __future__ import annotations

from typing import Any

from fhirserver.validation.finding import Found, error
from fhirserver.validation.scope import NOWHERE, Scope


def attachment(value: Any, scope: Scope = NOWHERE) -> Found:
    """The finding about a `size` that the `data` has not."""
    size, data = value.get("size"), value.get("data")
    if size is None or data is None or "url" in value:
        return None
    text = "".join(data.split())
    length = len(text) * 3 // 4 - text.count("=")
    if size == length:
        return None
    return [
        error("value", f"Expected the size of the data, {length} bytes, found {size}.", ".size")
    ]
