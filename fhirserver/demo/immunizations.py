"""The vaccination plan and the Immunizations that follow it.

https://hl7.org/fhir/R4/immunization.html. Codes are CVX.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

from fhirserver.demo.calendar import next_working_day
from fhirserver.demo.datatypes import concept, years_before
from fhirserver.demo.dice import Dice
from fhirserver.demo.person import Person
from fhirserver.demo.systems import CVX
from fhirserver.model.json import Resource


class Vaccine(NamedTuple):
    """`days` are the ages in days at which doses are due."""

    code: str
    display: str
    days: tuple[int, ...]


CHILDHOOD = (
    Vaccine("08", "Hep B, adolescent or pediatric", (1, 40, 190)),
    Vaccine("119", "rotavirus, monovalent", (62, 124)),
    Vaccine("20", "DTaP", (63, 125, 186, 470, 1600)),
    Vaccine("10", "IPV", (63, 125, 190, 1600)),
    Vaccine("133", "Pneumococcal conjugate PCV 13", (64, 126, 187, 380)),
    Vaccine("03", "MMR", (381, 1610)),
    Vaccine("21", "varicella", (382, 1611)),
    Vaccine("115", "Tdap", (4100,)),
    Vaccine("62", "HPV, quadrivalent", (4110, 4300)),
)
INFLUENZA = Vaccine("140", "Influenza, seasonal, injectable, preservative free", ())
ZOSTER = Vaccine("121", "zoster, live", (60 * 365 + 40,))
PNEUMOCOCCAL = Vaccine("33", "pneumococcal polysaccharide vaccine, 23 valent", (65 * 365 + 60,))

_YEARS_KEPT = 12
"""Doses given longer ago are not on file."""


def given(person: Person, dice: Dice) -> list[tuple[Vaccine, date, int]]:
    """What was given, when, and the number of the dose; the oldest first."""
    last = person.last_day
    kept = years_before(person.today, _YEARS_KEPT)
    out = []
    for vaccine in (*CHILDHOOD, ZOSTER, PNEUMOCOCCAL):
        for dose, age in enumerate(vaccine.days, 1):
            day = next_working_day(person.birth + timedelta(days=age + dice.between(0, 20)))
            if kept <= day <= last and dice.chance(0.94):
                out.append((vaccine, day, dose))
    autumn = date(last.year, 10, 5)
    for years in range(3):
        day = next_working_day(years_before(autumn, years) + timedelta(days=dice.between(0, 40)))
        share = 0.75 if person.age(day) >= 65 else 0.4
        if day <= last and person.age(day) >= 1 and dice.chance(share):
            out.append((INFLUENZA, day, 1))
    return sorted(out, key=lambda row: row[1])


def immunization(vaccine: Vaccine, day: date, dose: int, lot: int) -> Resource:
    """The Immunization without subject, performer and id."""
    return {
        "resourceType": "Immunization",
        "status": "completed",
        "vaccineCode": concept(CVX, vaccine.code, vaccine.display),
        "occurrenceDateTime": day.isoformat(),
        "primarySource": True,
        "lotNumber": f"L{lot:05d}",
        "protocolApplied": [{"doseNumberPositiveInt": dose}],
    }
