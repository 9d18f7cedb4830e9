"""What operations answer with, where that is no single resource: Parameters.

https://hl7.org/fhir/R4/operations.html#response
"""

from __future__ import annotations

from typing import NamedTuple

from fhirserver.interactions.request import Answer
from fhirserver.model.json import Json, encode


class Out(NamedTuple):
    """An out parameter; `property` is `resource`, or that of its type (`valueMeta`)."""

    name: str
    property: str
    value: Json


def parameters(*outs: Out) -> Answer:
    """200 with Parameters."""
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": out.name, out.property: out.value} for out in outs],
    }
    return Answer(200, encode(body))
