"""Dates and times of DICOM (DA, TM, DT) as texts that compare as they lie in time.

A value stands for all moments that it names: `2024` for a year, `10` for an hour. What is
compared are its first and its last moment, in digits. PS3.5 6.2.
"""

from __future__ import annotations

import re
from typing import Final

from fhirserver.errors import Invalid

_DATE: Final = re.compile(r"(\d{4})[.\-]?(\d\d)[.\-]?(\d\d)", re.ASCII)
_TIME: Final = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?)?", re.ASCII)
_DATE_TIME: Final = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?)?)?)?"
    r"([+\-]\d{4})?",
    re.ASCII,
)
_LAST: Final = ("12", "31", "23", "59", "60", "999999")
_FIRST: Final = ("01", "01", "00", "00", "00", "000000")
_LAST_TIME, _FIRST_TIME = _LAST[2:], _FIRST[2:]
_FORMS: Final = {"DA": "YYYYMMDD", "TM": "HHMMSS", "DT": "YYYYMMDDHHMMSS"}


def bounds(vr: str, text: str) -> tuple[str, str] | None:
    """The first and the last moment of a value; None of one that is none."""
    text = text.strip()
    if vr == "DA":
        found = _DATE.fullmatch(text)
        if found is None or not _is_day(found[2], found[3]):
            return None
        day = "".join(found.groups())
        return day, day
    if vr == "TM":
        found = _TIME.fullmatch(text)
        if found is None or not _is_time(found[1], found[2], found[3]):
            return None
        return _padded(found.groups(), _FIRST_TIME), _padded(found.groups(), _LAST_TIME)
    found = _DATE_TIME.fullmatch(text)
    if found is None or not _is_day(found[2], found[3]) or not _is_time(*found.group(4, 5, 6)):
        return None
    parts = found.groups()[1:7]
    return found[1] + _padded(parts, _FIRST), found[1] + _padded(parts, _LAST)


def split_range(vr: str, text: str) -> tuple[str, str]:
    """The two ends of a range as it is asked for; of a single value twice the same.

    Raises `Invalid` for what is none.
    """
    text = text.strip()
    if bounds(vr, text) is not None:
        return text, text
    for place in (match.start() for match in re.finditer("-", text)):
        low, high = text[:place].strip(), text[place + 1 :].strip()
        ends = [end for end in (low, high) if end]
        if ends and all(bounds(vr, end) is not None for end in ends):
            return low, high
    raise Invalid(f"Write it as {_FORMS[vr]}, or as a range of two such with - between them.")


def is_within(vr: str, value: str, low: str, high: str) -> bool:
    """Whether a value has a moment of the range; False of a value that is none."""
    found = bounds(vr, value)
    if found is None:
        return False
    first, last = ends_of(vr, low, high)
    return (not first or found[1] >= first) and (not last or found[0] <= last)


def ends_of(vr: str, low: str, high: str) -> tuple[str, str]:
    """The first and the last moment of a range; empty where it is open."""
    first = bounds(vr, low) if low else None
    last = bounds(vr, high) if high else None
    return first[0] if first else "", last[1] if last else ""


def _padded(parts: tuple[str | None, ...], by: tuple[str, ...]) -> str:
    out = []
    for part, other in zip(parts, by, strict=True):
        if part is None:
            out.append(other)
        elif len(other) == 6:
            out.append(part + other[len(part) :] if len(part) < 6 else part)
        else:
            out.append(part)
    return "".join(out)


def _is_day(month: str | None, day: str | None) -> bool:
    return (month is None or "01" <= month <= "12") and (day is None or "01" <= day <= "31")


def _is_time(hour: str | None, minute: str | None, second: str | None) -> bool:
    return (
        (hour is None or hour <= "23")
        and (minute is None or minute <= "59")
        and (second is None or second <= "60")
    )
