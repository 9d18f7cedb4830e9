"""Partial dates and times as intervals.

https://hl7.org/fhir/R4/datatypes.html#dateTime: `2020-02` means the whole of February.
Every date, dateTime and instant is read as [start, end) in microseconds since
1970-01-01T00:00:00Z; one without a zone is read in UTC.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from fhirserver.errors import Invalid

SECOND = 1_000_000
DAY = 86_400 * SECOND
_EPOCH = date(1970, 1, 1).toordinal()
_START = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC; without saying so it is written faster

MIN_INSTANT = -62_135_596_800 * SECOND  # 0001-01-01
MAX_INSTANT = 253_402_300_800 * SECOND  # 10000-01-01

_TEXT = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?"
    r"(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)


class Interval(NamedTuple):
    """[start, end) in microseconds since 1970-01-01T00:00:00Z."""

    start: int
    end: int


ALWAYS = Interval(MIN_INSTANT, MAX_INSTANT)


def interval(text: str) -> Interval:
    """The interval that a partial date or dateTime covers, at the precision it states.

    Minutes without seconds are taken, as search allows them. Raises `Invalid` for what is
    not a date of the calendar.
    """
    found = _TEXT.fullmatch(text)
    if not found:
        raise Invalid(f"'{text}' is not a date: write YYYY, YYYY-MM, YYYY-MM-DD or a dateTime.")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        if day is None:
            return _month_or_year(int(year), int(month) if month else None)
        start = _days(int(year), int(month), int(day))
        if hour is None:
            return Interval(start, start + DAY)
        start += _time_of_day(int(hour), int(minute), int(second or 0))
        start -= _offset(zone)
    except ValueError as error:
        raise Invalid(f"'{text}' is not a date of the calendar: {error}.") from None
    if second is None:
        return Interval(start, start + 60 * SECOND)
    if fraction is None:
        return Interval(start, start + SECOND)
    start += int(fraction[:6].ljust(6, "0"))
    return Interval(start, start + 10 ** max(0, 6 - len(fraction)))


@lru_cache(maxsize=64)  # all versions of a commit have the same
def format_instant(microseconds: int) -> str:
    """An instant in UTC with milliseconds: `2026-11-20T08:30:00.123Z`, always 24 characters."""
    moment = _START + timedelta(microseconds=microseconds)
    return f"{moment.isoformat(timespec='milliseconds')}Z"


def _month_or_year(year: int, month: int | None) -> Interval:
    if month is None:
        return Interval(_days(year, 1, 1), _days(year + 1, 1, 1))
    start = _days(year, month, 1)
    return Interval(start, _days(year + month // 12, month % 12 + 1, 1))


def _days(year: int, month: int, day: int) -> int:
    if year == 10000:
        return MAX_INSTANT
    return (date(year, month, day).toordinal() - _EPOCH) * DAY


def _time_of_day(hour: int, minute: int, second: int) -> int:
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError("the time of day is out of range")
    return ((hour * 60 + minute) * 60 + second) * SECOND


def _offset(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 14 or minutes > 59:
        raise ValueError("the zone is out of range")
    offset = (hours * 60 + minutes) * 60 * SECOND
    return -offset if zone[0] == "-" else offset
