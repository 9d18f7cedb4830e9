"""Values of a data set in DICOM JSON (PS3.18 F.2), read so that nothing odd comes out.

Every function takes what a hostile header may hold: a missing or empty element, `null`, values
of another type. What comes out as text is a FHIR string: trimmed, not empty, without control
characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

Attributes: TypeAlias = Mapping[str, Any]
"""A data set in DICOM JSON: elements by their tags as eight hexadecimal digits."""

MOST: Final = 1024
"""The most characters that are taken over of a text."""

_UID: Final = re.compile(r"[0-9.]{1,64}", re.ASCII)
_OID: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+", re.ASCII)
_UNSIGNED: Final = 2**31 - 1
_CONTROL: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u200b-\u200f\u2028\u2029]"
)
_INTEGER: Final = re.compile(r"[+-]?\d{1,12}", re.ASCII)


def values(data: Attributes, tag: str) -> Sequence[Any]:
    """The values of an element; none where it is missing, empty or no list."""
    element = data.get(tag)
    found = element.get("Value") if isinstance(element, Mapping) else None
    return found if isinstance(found, list) else ()


def items(data: Attributes, tag: str) -> list[Attributes]:
    """The items of a sequence."""
    return [item for item in values(data, tag) if isinstance(item, Mapping)]


def texts(data: Attributes, tag: str) -> list[str]:
    """The values of an element as texts, without empty ones."""
    return [text for value in values(data, tag) if (text := cleaned(value))]


def text(data: Attributes, tag: str) -> str:
    """The first value as text; empty where there is none."""
    for value in values(data, tag):
        if found := cleaned(value):
            return found
    return ""


def cleaned(value: object) -> str:
    """A value as a FHIR string, or empty; numbers as they are written."""
    if isinstance(value, str) and len(value) <= MOST and value.isprintable():
        return value.strip() if "  " not in value else " ".join(value.split())
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return " ".join(_CONTROL.sub(" ", str(value)[: 4 * MOST]).split())[:MOST].strip()


def code(data: Attributes, tag: str) -> str:
    """The first value of a CS element, in capitals; empty where it has none."""
    return text(data, tag).upper()


def uid(data: Attributes, tag: str) -> str:
    """The first value as a UID of at most 64 characters; empty where it is none."""
    found = text(data, tag)
    return found if is_uid(found) else ""


def is_uid(value: str) -> bool:
    """Whether a text is taken for a UID; what PS3.5 9.1 forbids besides, devices do send."""
    return _UID.fullmatch(value) is not None


def is_oid(value: str) -> bool:
    """Whether `urn:oid:` and that text is a URI."""
    return _OID.fullmatch(value) is not None


def unsigned(data: Attributes, tag: str) -> int | None:
    """The first value as a FHIR unsignedInt; None for what is none, such as a negative number."""
    found = next(iter(values(data, tag)), None)
    if isinstance(found, float) and found.is_integer():
        found = int(found)
    if isinstance(found, str) and _INTEGER.fullmatch(found.strip()):
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int):
        return None
    return found if 0 <= found <= _UNSIGNED else None
