"""The JSON codec: what was sent is what comes back, to the last digit.

https://hl7.org/fhir/R4/json.html and https://hl7.org/fhir/R4/datatypes.html#decimal:
the precision of a decimal is part of its value, so a number with a fraction or an
exponent is decoded as `Decimal`; one with an exponent also keeps its spelling.
Duplicate keys, NaN, unpaired surrogates and more than 200 levels are refused; a caller may
recurse over a decoded value.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

import jiter
import msgspec

from fhirserver.errors import Invalid

Json: TypeAlias = Any
"""dict, list, str, bool, int, Decimal or None, as decoded from JSON."""

Resource: TypeAlias = dict[str, Any]
"""A FHIR resource as a JSON object; `resourceType` names its type."""

# A number with an exponent, where JSON allows one. It may also hit inside a string;
# then the slower decoder runs for nothing, with the same result.
_EXPONENT = re.compile(rb"[:\[,]\s*-?[0-9.]+[eE]")


class SpelledDecimal(Decimal):
    """A decimal that is written again as it was read (`1.0e-3`, `1E+3`)."""

    spelling: str


def _decimal(text: str) -> Decimal:
    if "e" not in text and "E" not in text:
        return Decimal(text)
    value = SpelledDecimal(text)
    value.spelling = text
    return value


def _encode_other(value: object) -> msgspec.Raw:
    if isinstance(value, SpelledDecimal):
        return msgspec.Raw(value.spelling.encode())
    if isinstance(value, Decimal):
        return msgspec.Raw(str(value).encode())
    raise TypeError(f"{type(value).__name__} is not a JSON value")


_ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=_encode_other)
_EXACT_DECODER = msgspec.json.Decoder(float_hook=_decimal)


def decode(data: bytes) -> Json:
    """The JSON value of UTF-8 bytes.

    Raises `Invalid`, with line and column, for anything that RFC 8259 or FHIR forbids.
    """
    try:
        value = jiter.from_json(
            data, allow_inf_nan=False, float_mode="decimal", catch_duplicate_keys=True
        )
        if _EXPONENT.search(data):
            value = _EXACT_DECODER.decode(data)
    except (ValueError, InvalidOperation, msgspec.MsgspecError, RecursionError) as error:
        raise Invalid(f"The body is not JSON that FHIR allows: {error}.") from None
    return value


def encode(value: Json) -> bytes:
    """Compact UTF-8 JSON of a value made of dict, list, str, bool, int, Decimal and None."""
    return _ENCODER.encode(value)


def pretty(data: bytes) -> bytes:
    """The same JSON, indented by two spaces; numbers keep their spelling."""
    return msgspec.json.format(data, indent=2)
