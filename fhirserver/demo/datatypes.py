"""FHIR data types as JSON objects.

https://hl7.org/fhir/R4/datatypes.html
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from fhirserver.demo.systems import HL7, UCUM
from fhirserver.model.json import Resource

ZONE = "-05:00"


def coding(system: str, code: str, display: str | None = None) -> Resource:
    out = {"system": system, "code": code}
    if display:
        out["display"] = display
    return out


def concept(system: str, code: str, display: str, text: str | None = None) -> Resource:
    return {"coding": [coding(system, code, display)], "text": text or display}


def hl7(name: str, code: str, display: str | None = None) -> Resource:
    """A CodeableConcept from one of HL7's own code systems, named by the end of its URL."""
    return {"coding": [coding(HL7 + name, code, display)]}


def reference(type: str, id: str, display: str | None = None) -> Resource:
    out = {"reference": f"{type}/{id}"}
    if display:
        out["display"] = display
    return out


def identifier(system: str, value: str, type: Resource | None = None) -> Resource:
    out: Resource = {"use": "usual"}
    if type:
        out["type"] = type
    return out | {"system": system, "value": value}


def number(value: float, places: int) -> Decimal:
    """A decimal with exactly so many places."""
    return Decimal(repr(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def quantity(value: Decimal, code: str, unit: str | None = None) -> Resource:
    return {"value": value, "unit": unit or code, "system": UCUM, "code": code}


def dollars(amount: Decimal) -> Resource:
    return {"value": amount.quantize(Decimal("0.01")), "currency": "USD"}


def instant(moment: datetime) -> str:
    """The hospital's local time as a dateTime or instant."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{ZONE}"


def period(start: datetime, end: datetime | None = None) -> Resource:
    out = {"start": instant(start)}
    if end:
        out["end"] = instant(end)
    return out


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


def years_before(day: date, years: int) -> date:
    """The same day of the calendar, so many years earlier (28 for 29 February)."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)


def age_on(birth: date, day: date) -> int:
    """Completed years of life."""
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))
