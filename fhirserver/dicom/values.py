"""The value of an element as DICOM JSON has it: PS3.18 F.2.3 to F.2.5.

DS and IS are numbers where a JSON number says the same, else the string as it came (F.2.3).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, TypeAlias

from fhirserver.dicom.character_set import CharacterSet

Values: TypeAlias = list[Any] | None
Convert: TypeAlias = Callable[[bytes, CharacterSet], Values]

_PADDING: Final = " \0"
_DECIMAL: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_INTEGER: Final = re.compile(r"[+-]?\d+")
_EXACT: Final = 2**53  # up to here every reader of JSON gets integers right
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def _codes(value: bytes, _: CharacterSet) -> Values:
    """AE, AS, CS, DA, DT, TM, UI, which no character set touches."""
    text = value.decode("latin_1").strip(_PADDING)
    if "\\" in text:
        return [part.strip(_PADDING) or None for part in text.split("\\")]
    return [text] if text else None


def _texts(value: bytes, set: CharacterSet) -> Values:
    """LO, SH: several values, padding on either side means nothing."""
    text = set.text(value, b"\\\t\n\f\r").strip(_PADDING)
    if "\\" in text:
        return [part.strip(_PADDING) or None for part in text.split("\\")]
    return [text] if text else None


def _unlimited_texts(value: bytes, set: CharacterSet) -> Values:
    """UC: blanks in front mean something."""
    text = set.text(value, b"\\\t\n\f\r").rstrip(_PADDING)
    if "\\" in text:
        return [part.rstrip(_PADDING) or None for part in text.split("\\")]
    return [text] if text else None


def _text(value: bytes, set: CharacterSet) -> Values:
    """LT, ST, UT: one value, in which a backslash is a backslash."""
    text = set.text(value, b"\t\n\f\r").rstrip(_PADDING)
    return [text] if text else None


def _address(value: bytes, _: CharacterSet) -> Values:
    text = value.decode("latin_1").rstrip(_PADDING)
    return [text] if text else None


def _names(value: bytes, set: CharacterSet) -> Values:
    """PN: component groups by their names (F.2.2)."""
    text = set.text(value, b"\\^=\t\n\f\r").strip(_PADDING)
    if not text:
        return None
    if "=" not in text and "\\" not in text:
        return [{"Alphabetic": text}]
    return [_name(part) for part in text.split("\\")]


def _name(text: str) -> dict[str, str] | None:
    groups = zip(_GROUPS, text.split("="), strict=False)
    return {name: group for name, part in groups if (group := part.strip(_PADDING))} or None


@lru_cache(maxsize=4096)
def _decimal(text: str) -> int | float | str | None:
    if not _DECIMAL.fullmatch(text):
        return text or None
    if _INTEGER.fullmatch(text):
        return _integer(text)
    number = float(text)
    if math.isinf(number) or (len(text) > 15 and Decimal(text) != Decimal(repr(number))):
        return text
    return number


@lru_cache(maxsize=4096)
def _integer(text: str) -> int | str | None:
    if not _INTEGER.fullmatch(text) or len(text) > 17:
        return text or None
    number = int(text)
    return number if abs(number) < _EXACT else text


def _decimals(value: bytes, _: CharacterSet) -> Values:
    text = value.decode("latin_1").strip(_PADDING)
    if "\\" in text:
        return [_decimal(part.strip(_PADDING)) for part in text.split("\\")]
    return [_decimal(text)] if text else None


def _integers(value: bytes, _: CharacterSet) -> Values:
    text = value.decode("latin_1").strip(_PADDING)
    if "\\" in text:
        return [_integer(part.strip(_PADDING)) for part in text.split("\\")]
    return [_integer(text)] if text else None


def _numbers(code: str, little: bool) -> Convert:
    order, size = "<" if little else ">", struct.calcsize(f"<{code}")
    one = struct.Struct(f"{order}{code}")

    def convert(value: bytes, _: CharacterSet) -> Values:
        if len(value) == size:
            return list(one.unpack(value))
        count = len(value) // size
        if count == 0:
            return None
        return list(struct.unpack(f"{order}{count}{code}", value[: count * size]))

    return convert


def _long_numbers(code: str, little: bool) -> Convert:
    numbers = _numbers(code, little)

    def convert(value: bytes, set: CharacterSet) -> Values:
        found = numbers(value, set)
        return found and [one if abs(one) < _EXACT else str(one) for one in found]

    return convert


def _floats(code: str, little: bool) -> Convert:
    numbers = _numbers(code, little)

    def convert(value: bytes, set: CharacterSet) -> Values:
        found = numbers(value, set)
        if found and not all(map(math.isfinite, found)):
            raise NoNumber
        return found

    return convert


def _tags(little: bool) -> Convert:
    words = _numbers("H", little)

    def convert(value: bytes, set: CharacterSet) -> Values:
        found = words(value[: len(value) // 4 * 4], set)
        pairs = zip(found[::2], found[1::2], strict=True) if found else ()
        return [f"{group:04X}{element:04X}" for group, element in pairs] or None

    return convert


class NoNumber(Exception):
    """An infinity or NaN, which JSON has no number for: it becomes bulk data (F.2.2)."""


def converters(*, little: bool) -> dict[str, Convert]:
    """How values of each VR are read that are neither sequences nor binary (see `BINARY`)."""
    return {
        **dict.fromkeys(("AE", "AS", "CS", "DA", "DT", "TM", "UI"), _codes),
        **dict.fromkeys(("LO", "SH"), _texts),
        **dict.fromkeys(("LT", "ST", "UT"), _text),
        "UC": _unlimited_texts,
        "UR": _address,
        "PN": _names,
        "DS": _decimals,
        "IS": _integers,
        "AT": _tags(little),
        "FL": _floats("f", little),
        "FD": _floats("d", little),
        "SS": _numbers("h", little),
        "US": _numbers("H", little),
        "SL": _numbers("i", little),
        "UL": _numbers("I", little),
        "SV": _long_numbers("q", little),
        "UV": _long_numbers("Q", little),
    }


# Binary VRs, by the size of the words that big endian turns round.
BINARY: Final = {"OB": 1, "UN": 1, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


def little_endian(value: bytes, vr: str) -> bytes:
    """A binary value out of a big endian data set as DICOM JSON wants it (F.2.7)."""
    size = BINARY[vr]
    if size == 1 or len(value) % size:
        return value
    return b"".join(value[at : at + size][::-1] for at in range(0, len(value), size))
