"""Date, DateTime and Time: partial, with or without a zone, compared in three values.

https://hl7.org/fhirpath/N1/#date and #datetime-equality. Seconds and milliseconds are one
precision, a decimal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Final

YEAR, MONTH, DAY, HOUR, MINUTE, SECOND = range(6)

_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)
_TIME = re.compile(r"(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d+)?))?)?", re.ASCII)
_ZONE = re.compile(r"(.*?)(Z|[+-]\d\d:\d\d)?", re.ASCII)

_EARLIEST_ZONE = 14 * 3600
_LATEST_ZONE = 12 * 3600
_MINUTES = 60
_SPANS: Final = {HOUR: 3600, MINUTE: _MINUTES, SECOND: 0}


@dataclass(frozen=True, slots=True)
class Temporal:
    """`fields` from the year, of a Time from the hour, down to the minute; `second` after it."""

    fields: tuple[int, ...]
    second: Decimal | None = None
    zone: str = ""

    @property
    def parts(self) -> tuple[int | Decimal, ...]:
        """All fields that are stated, seconds included."""
        return self.fields if self.second is None else (*self.fields, self.second)


@dataclass(frozen=True, slots=True)
class Date(Temporal):
    """A year, month or day."""

    def __str__(self) -> str:
        return _date_text(self.fields)


@dataclass(frozen=True, slots=True)
class DateTime(Temporal):
    """A year, month, day, hour, minute or second; a `zone` only with an hour."""

    def __str__(self) -> str:
        day = _date_text(self.fields[:3])
        if len(self.fields) <= HOUR:
            return day
        return f"{day}T{_time_text(self.fields[3:], self.second)}{self.zone}"


@dataclass(frozen=True, slots=True)
class Time(Temporal):
    """An hour, minute or second of a day."""

    def __str__(self) -> str:
        return _time_text(self.fields, self.second)


@lru_cache(4096)
def parse_date(text: str) -> Date | None:
    """The Date that `text` (`2020-02`) writes, None if it writes none of the calendar."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    fields = tuple(int(field) for field in found.groups() if field is not None)
    return Date(fields) if _is_day(fields) else None


@lru_cache(4096)
def parse_date_time(text: str) -> DateTime | None:
    """The DateTime that `text` (`2020-02`, `2020-02-01T10:00:00.5+01:00`) writes, if any."""
    day_text, _, time_text = text.partition("T")
    day = parse_date(day_text)
    if day is None or not time_text:
        return None if day is None else DateTime(day.fields)
    if len(day.fields) <= DAY:
        return None
    found = _ZONE.fullmatch(time_text)
    clock, zone = found.groups() if found else ("", None)
    parsed = parse_time(clock)
    if parsed is None or (zone and not _is_zone(zone)):
        return None
    return DateTime(day.fields + parsed.fields, parsed.second, zone or "")


@lru_cache(4096)
def parse_time(text: str) -> Time | None:
    """The Time that `text` (`10`, `10:30`, `10:30:00.000`) writes, if any."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    hour, minute, second = found.groups()
    if int(hour) > 23 or int(minute or 0) > 59 or Decimal(second or 0) >= 61:
        return None
    fields = (int(hour),) if minute is None else (int(hour), int(minute))
    return Time(fields, None if second is None else Decimal(second))


def of_datetime(moment: datetime) -> DateTime:
    """The DateTime of a Python datetime, to the millisecond."""
    text = moment.isoformat(timespec="milliseconds")
    found = parse_date_time(text.replace("+00:00", "Z"))
    assert found is not None
    return found


def of_python(value: date | time) -> Date | DateTime | Time:
    """The value of a Python date, datetime or time."""
    if isinstance(value, datetime):
        return of_datetime(value)
    if isinstance(value, date):
        return Date((value.year, value.month, value.day))
    found = parse_time(value.replace(tzinfo=None).isoformat())
    assert found is not None
    return found


def compare(left: Temporal, right: Temporal) -> int | None:
    """-1, 0 or 1 as `left` is before, at or after `right`; None where that is unknown."""
    if left.zone != right.zone and len(left.fields) > HOUR and len(right.fields) > HOUR:
        return _compare_instants(left, right)
    ours, theirs = left.parts, right.parts
    for our, their in zip(ours, theirs, strict=False):
        if our != their:
            return -1 if our < their else 1
    return 0 if len(ours) == len(theirs) else None


def _compare_instants(left: Temporal, right: Temporal) -> int | None:
    left_start, left_end = _bounds(left)
    right_start, right_end = _bounds(right)
    same_precision = len(left.parts) == len(right.parts) and left.zone and right.zone
    if same_precision and left_start == right_start:
        return 0
    if left_end <= right_start:
        return -1
    if right_end <= left_start:
        return 1
    return None


def _bounds(moment: Temporal) -> tuple[Decimal, Decimal]:
    """The first and last instant that are meant, in seconds; without a zone, of any zone."""
    year, month, day, hour, *minutes = moment.fields
    start = Decimal(date(year, month, day).toordinal() * 86_400 + hour * 3600)
    start += _MINUTES * sum(minutes) + (moment.second or 0)
    end = start + _SPANS[len(moment.parts) - 1]
    if moment.zone:
        offset = zone_seconds(moment.zone)
        return start - offset, end - offset
    return start - _EARLIEST_ZONE, end + _LATEST_ZONE


def zone_seconds(zone: str) -> int:
    """The offset from UTC of `Z`, `+01:00`."""
    if zone == "Z":
        return 0
    seconds = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    return -seconds if zone[0] == "-" else seconds


def _is_day(fields: tuple[int, ...]) -> bool:
    year, month, day = (*fields, 1, 1)[:3]
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _is_zone(zone: str) -> bool:
    return zone == "Z" or (int(zone[1:3]) <= 14 and int(zone[4:6]) <= 59)


def _date_text(fields: tuple[int, ...]) -> str:
    return "-".join((f"{fields[0]:04}", *(f"{field:02}" for field in fields[1:])))


def _time_text(fields: tuple[int, ...], second: Decimal | None) -> str:
    text = ":".join(f"{field:02}" for field in fields)
    if second is None:
        return text
    return f"{text}:{'0' if second < 10 else ''}{second:f}"
