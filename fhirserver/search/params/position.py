"""The parameter `near`: what lies within a distance of a position.

https://hl7.org/fhir/R4/location.html#positional: `latitude|longitude|distance|units`. The
distance is along the great circle, 25 km where none is given; units are codes of UCUM, km
where none is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from fhirserver.errors import Invalid
from fhirserver.search.distance import normal_longitude
from fhirserver.search.entry import Position
from fhirserver.search.escape import split, unescape
from fhirserver.search.expression import Expression, Near, Or
from fhirserver.search.parameter import Convert, Knowledge, Parameter, ParameterType, Values
from fhirserver.search.params.number import as_float
from fhirserver.search.refusal import choice

DEFAULT_DISTANCE = 25_000.0  # metres

METRES = {
    "": 1000.0,
    "km": 1000.0,
    "m": 1.0,
    "[mi_i]": 1609.344,
    "mi": 1609.344,
    "[nmi_i]": 1852.0,
    "[ft_i]": 0.3048,
}
"""How many metres the units of a distance are, by UCUM code; mi as it is often written."""

_NUMBER = re.compile(r"[+-]?\d{1,20}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,2})?", re.ASCII)
_FORM = "write latitude|longitude|distance|units, such as -36.85|174.76|10|km"


def _position(value: Any) -> Iterable[Position]:
    latitude, longitude = as_float(value.get("latitude")), as_float(value.get("longitude"))
    if latitude is None or longitude is None or not -90.0 <= latitude <= 90.0:
        return ()
    return (Position(latitude, normal_longitude(longitude)),)


def _near(parameter: Parameter, _: str, values: Values, __: Knowledge) -> Expression:
    found = tuple(_circle(parameter.code, value) for value in values)
    return found[0] if len(found) == 1 else Or(found)


def _circle(code: str, text: str) -> Near:
    parts = [unescape(part).strip() for part in split(text, "|")]
    if not 2 <= len(parts) <= 4:
        raise Invalid(f"'{text}' is not a position: {_FORM}.")
    latitude, longitude = (_number(part) for part in parts[:2])
    if not -90.0 <= latitude <= 90.0 or not -360.0 <= longitude <= 360.0:
        raise Invalid(f"'{text}' is not on the earth: {_FORM}.")
    unit = parts[3] if len(parts) == 4 else ""
    if unit not in METRES:
        raise Invalid(
            f"'{unit}' is not a unit of a distance here: use {choice(filter(None, METRES))}."
        )
    metres = DEFAULT_DISTANCE
    if len(parts) > 2 and parts[2]:
        metres = _number(parts[2]) * METRES[unit]
    if metres < 0:
        raise Invalid("A distance cannot be negative.")
    return Near(code, latitude, normal_longitude(longitude), metres)


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise Invalid(f"'{text}' is not a number: {_FORM}.")
    return float(text)


_CONVERT: dict[str, Convert] = {"BackboneElement": _position}  # Location.position

POSITION = ParameterType(convert=_CONVERT, modifiers={"": _near})
