"""fixed[x] and pattern[x]: the value, or a part of it, that a profile asks for.

https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.fixed_x_
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from fhirserver.model.json import Json, encode


def is_fixed(value: Json, fixed: Json) -> bool:
    """Whether a value is exactly the fixed one, numbers to the last digit."""
    if isinstance(value, dict) and isinstance(fixed, dict):
        return value.keys() == fixed.keys() and all(
            is_fixed(value[name], fixed[name]) for name in fixed
        )
    if isinstance(value, list) and isinstance(fixed, list):
        return len(value) == len(fixed) and all(map(is_fixed, value, fixed))
    return _same(value, fixed)


def has_pattern(value: Json, pattern: Json) -> bool:
    """Whether a value has all that the pattern has; each item of an array somewhere in its own."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            name in value and has_pattern(value[name], part) for name, part in pattern.items()
        )
    if isinstance(pattern, list):
        return isinstance(value, list) and all(
            any(has_pattern(item, part) for item in value) for part in pattern
        )
    return _same(value, pattern)


def in_words(value: Json) -> str:
    """A value as JSON, for texts."""
    text = encode(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}…"


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    if isinstance(value, int | Decimal) and isinstance(other, int | Decimal):
        return bool(value == other)
    return bool(value == other)
