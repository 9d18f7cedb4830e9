"""Primitive values: JSON type, format and meaning.

https://hl7.org/fhir/R4/datatypes.html#primitive. The regular expressions are those of the
standard; where they admit what means nothing (30 February, base64 cut off) it is refused.
Each check first tries what nearly all values are, without a regular expression.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping
from datetime import date as calendar_date
from decimal import Decimal
from math import isfinite
from typing import Final

from fhirserver.model.json import Json
from fhirserver.model.reference import ID
from fhirserver.validation.finding import Check, Found, refused
from fhirserver.validation.question import Doubt
from fhirserver.validation.scope import NOWHERE, Scope

MAX_TEXT: Final = 1_048_576
"""Characters of a string or markdown (https://hl7.org/fhir/R4/datatypes.html#string)."""

MAX_INTEGER: Final = 2_147_483_647
MIN_INTEGER: Final = -2_147_483_648

# Control characters other than tab and line ends are not text, nor are lone surrogates.
_TEXT = re.compile("[\t\n\r\x20-\ud7ff\ue000-\U0010ffff]+")
# The standard's `\\s` is the white space of ASCII.
_URI = re.compile("[^\\s\x00-\x1f\ud800-\udfff]+", re.ASCII)
_CODE = re.compile("[^\\s\x00-\x1f\ud800-\udfff]+(\\s[^\\s\x00-\x1f\ud800-\udfff]+)*", re.ASCII)
_TAG = re.compile(r"<[A-Za-z/!][^<>]{0,200}>")
_OID = re.compile(r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+", re.ASCII)
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

_DAY = r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_PARTIAL = r"(?!0000)[0-9]{4}(?:-(?:0[1-9]|1[0-2]))?"
_DATE = re.compile(f"{_DAY}|{_PARTIAL}")
_DATE_TIME = re.compile(f"{_DAY}(?:T{_TIME}{_ZONE})?|{_PARTIAL}")
_INSTANT = re.compile(f"{_DAY}T{_TIME}{_ZONE}")
_TIME_OF_DAY = re.compile(_TIME)


def _not_text(expected: str, value: Json, pattern: re.Pattern[str], code: str = "value") -> Found:
    """What the quick look left open: None if the pattern holds after all."""
    if not isinstance(value, str):
        return refused("structure", f"a JSON string ({expected})", value)
    return None if pattern.fullmatch(value) else refused(code, expected, value)


def string(value: Json, scope: Scope = NOWHERE) -> Found:
    if type(value) is str and value.isprintable() and 0 < len(value) <= MAX_TEXT:
        return None
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return refused("too-long", f"at most {MAX_TEXT} characters", value)
    return _not_text("text without control characters", value, _TEXT)


def text(value: Json, scope: Scope = NOWHERE) -> Found:
    """A string or markdown, with what reads like HTML told."""
    is_plain = type(value) is str and value.isprintable() and "<" not in value
    if is_plain and 0 < len(value) <= MAX_TEXT:
        return None
    found = string(value, scope)
    if found is None and "<" in value:
        tag = _TAG.search(value)
        if tag is not None:
            text = f"The text holds what reads like HTML ('{tag[0][:40]}'): show it as text only."
            return [Doubt("", "security", text)]
        return None
    return found


def xhtml(value: Json, scope: Scope = NOWHERE) -> Found:
    if type(value) is str and value:
        return None
    return _not_text("XHTML", value, _TEXT)


def uri(value: Json, scope: Scope = NOWHERE) -> Found:
    if type(value) is str and value.isprintable() and " " not in value and value:
        return None
    return _not_text("a URI without spaces", value, _URI)


def code(value: Json, scope: Scope = NOWHERE) -> Found:
    if type(value) is str and value.isprintable() and " " not in value and value:
        return None
    return _not_text("a code: no space at its ends, single ones within", value, _CODE)


def id(value: Json, scope: Scope = NOWHERE) -> Found:
    return _not_text("an id: 1 to 64 letters, digits, '-' or '.'", value, ID)


def oid(value: Json, scope: Scope = NOWHERE) -> Found:
    return _not_text("an OID such as urn:oid:1.2.3", value, _OID)


def uuid(value: Json, scope: Scope = NOWHERE) -> Found:
    return _not_text("a UUID such as urn:uuid:c757873d-ec9a-4326-a141-556f43239520", value, _UUID)


def base64_binary(value: Json, scope: Scope = NOWHERE) -> Found:
    expected = "base64"
    if not isinstance(value, str):
        return refused("structure", f"a JSON string ({expected})", value)
    if not value.isascii() or not value:
        return refused("value", expected, value)
    try:
        a2b_base64(value, strict_mode=True)
    except Base64Error:
        return _base64_with_spaces(expected, value)
    # Python takes padding behind a whole group, which the standard does not.
    return refused("value", expected, value) if len(value) % 4 else None


def _base64_with_spaces(expected: str, value: str) -> Found:
    """White space may stand between groups of four characters, as at the end of a line."""
    parts = value.encode().split()
    try:
        a2b_base64(b"".join(parts), strict_mode=True)
    except Base64Error:
        return refused("value", expected, value)
    whole = parts and all(len(part) % 4 == 0 for part in parts)
    return None if whole else refused("value", expected, value)


def date(value: Json, scope: Scope = NOWHERE) -> Found:
    if type(value) is str and _DATE.fullmatch(value) and (value[8:10] < "29" or _exists(value)):
        return None
    return _not_date("a date of the calendar: YYYY, YYYY-MM or YYYY-MM-DD", value)


def date_time(value: Json, scope: Scope = NOWHERE) -> Found:
    if (
        type(value) is str
        and _DATE_TIME.fullmatch(value)
        and (value[8:10] < "29" or _exists(value))
    ):
        return None
    return _not_date("a date, or a date and time with seconds and zone, of the calendar", value)


def instant(value: Json, scope: Scope = NOWHERE) -> Found:
    if type(value) is str and _INSTANT.fullmatch(value) and (value[8:10] < "29" or _exists(value)):
        return None
    return _not_date("an instant: a date and time with seconds and zone", value)


def time(value: Json, scope: Scope = NOWHERE) -> Found:
    return _not_text("a time of day: hh:mm:ss", value, _TIME_OF_DAY)


def _exists(text: str) -> bool:
    """Whether a day is in the calendar."""
    try:
        calendar_date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True


def _not_date(expected: str, value: Json) -> Found:
    if isinstance(value, str):
        return refused("value", expected, value)
    return refused("structure", f"a JSON string ({expected})", value)


def boolean(value: Json, scope: Scope = NOWHERE) -> Found:
    return None if value is True or value is False else refused("structure", "true or false", value)


def decimal(value: Json, scope: Scope = NOWHERE) -> Found:
    kind = type(value)
    if kind is int or (kind is Decimal and value.is_finite()):
        return None
    # A subclass keeps how the number was written; a float is the caller's own choice.
    if (isinstance(value, Decimal) and value.is_finite()) or (kind is float and isfinite(value)):
        return None
    return refused("structure", "a JSON number (decimal)", value)


def integer(value: Json, scope: Scope = NOWHERE) -> Found:
    if type(value) is int and MIN_INTEGER <= value <= MAX_INTEGER:
        return None
    return _not_integer(f"a whole number from {MIN_INTEGER} to {MAX_INTEGER}", value)


def unsigned_int(value: Json, scope: Scope = NOWHERE) -> Found:
    if type(value) is int and 0 <= value <= MAX_INTEGER:
        return None
    return _not_integer(f"a whole number from 0 to {MAX_INTEGER}", value)


def positive_int(value: Json, scope: Scope = NOWHERE) -> Found:
    if type(value) is int and 1 <= value <= MAX_INTEGER:
        return None
    return _not_integer(f"a whole number from 1 to {MAX_INTEGER}", value)


def _not_integer(expected: str, value: Json) -> Found:
    number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
    return refused("value" if number else "structure", expected, value)


CHECKS: Final[Mapping[str, Check]] = {
    "base64Binary": base64_binary,
    "boolean": boolean,
    "canonical": uri,
    "code": code,
    "date": date,
    "dateTime": date_time,
    "decimal": decimal,
    "id": id,
    "instant": instant,
    "integer": integer,
    "markdown": text,
    "oid": oid,
    "positiveInt": positive_int,
    "string": text,
    "time": time,
    "unsignedInt": unsigned_int,
    "uri": uri,
    "url": uri,
    "uuid": uuid,
    "xhtml": xhtml,
}
"""The check of each primitive type."""
