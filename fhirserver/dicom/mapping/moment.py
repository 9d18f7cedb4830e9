"""DICOM dates and times (DA, TM, DT) as FHIR dates and dateTimes.

PS3.5 6.2; https://hl7.org/fhir/R4/datatypes.html#dateTime. A FHIR time needs an offset from UTC,
and one is never made up: it is that of the data set (0008,0201), or that of the zone which was
given for where it was made, on that day; with neither only the date is told. Dates are never
shifted.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from fhirserver.dicom.mapping.attributes import Attributes, text

_DATE: Final = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)", re.ASCII)  # ACR-NEMA wrote dots
_TIME: Final = re.compile(r"(\d\d):?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?", re.ASCII)
_OFFSET: Final = re.compile(r"([+-])(\d\d)(\d\d)", re.ASCII)
_FURTHEST: Final = timedelta(hours=14)

TIMEZONE_OFFSET: Final = "00080201"


def day(value: str) -> str:
    """A DA value as a FHIR date; empty where it is no day of the calendar."""
    found = _date(value)
    return found.isoformat() if found else ""


def moment(data: Attributes, date_tag: str, time_tag: str, zone: str = "") -> str:
    """The dateTime of two elements, as exact as it can be told; empty without a valid date.

    `zone` is the name of a time zone (IANA) of where it was made, empty where that is not known.
    """
    on = _date(text(data, date_tag))
    if on is None:
        return ""
    at = _TIME.fullmatch(text(data, time_tag))
    if at is None or at[3] is None:  # FHIR's time has seconds
        return on.isoformat()
    try:
        second = min(int(at[3]), 59)  # 60 is a leap second, which Python and R4 do not know
        plain = datetime(  # noqa: DTZ001 - the zone is added below
            on.year, on.month, on.day, int(at[1]), int(at[2]), second
        )
        offset = _offset(text(data, TIMEZONE_OFFSET)) or _zone(zone)
        if offset is None:
            return on.isoformat()
        fraction = f".{at[4]}" if at[4] else ""
        shown = plain.replace(tzinfo=offset).isoformat()
    except (ValueError, OverflowError):
        return on.isoformat()
    return f"{shown[:19]}{fraction}{shown[19:25]}"


def _date(value: str) -> date | None:
    found = _DATE.fullmatch(value)
    try:
        return date(int(found[1]), int(found[2]), int(found[3])) if found else None
    except ValueError:
        return None


def _offset(value: str) -> tzinfo | None:
    found = _OFFSET.fullmatch(value)
    if found is None or int(found[3]) > 59:
        return None
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    if offset > _FURTHEST:
        return None
    return timezone(-offset if found[1] == "-" else offset)


def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):  # there is none of that name
        return None
