"""The kinds of searches that `search.py` measures: one row each, with a value for each asking."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeAlias
from urllib.parse import quote

from population import (
    CONDITIONS,
    DAYS,
    LOINC,
    MEDICINES,
    MRN,
    PROFILE,
    SNOMED,
    TAG,
    UCUM,
    VITALS,
    day,
    family,
    organizations,
    practitioners,
    tail,
    value_sets,
)

from fhirserver.model.temporal import format_instant
from fhirserver.store.port import Key

PAGES = 3
"""So many pages a walk has."""


class Asked(NamedTuple):
    url: str
    is_walk: bool = False


class World:
    """What may be asked of a population of so many patients."""

    def __init__(self, patients: int) -> None:
        self.patients = patients
        self.first = Key("Patient", "p0")
        self.last = Key("Patient", f"p{patients - 1}")
        self.instants: tuple[int, ...] = (0, 0)

    def patient(self, chance: random.Random) -> str:
        return f"Patient/p{chance.randrange(self.patients)}"

    def mrn(self, chance: random.Random) -> str:
        return f"mrn{chance.randrange(self.patients)}"

    def instant(self, chance: random.Random) -> str:
        return format_instant(chance.randint(min(self.instants), max(self.instants)))


Shape: TypeAlias = Callable[[World, random.Random], Asked]


def _shape(make: Callable[[World, random.Random], str], *, is_walk: bool = False) -> Shape:
    return lambda world, chance: Asked(make(world, chance), is_walk)


def _condition(chance: random.Random) -> str:
    return CONDITIONS[tail(chance, len(CONDITIONS))]


def _medicine(chance: random.Random) -> str:
    return MEDICINES[tail(chance, len(MEDICINES))]


def _vital(chance: random.Random) -> tuple[str, float, float, str]:
    code, _, unit, mean, spread = chance.choice(VITALS)
    return code, mean, spread, unit


def _day(chance: random.Random) -> str:
    return day(chance.randrange(DAYS))


def _hour(chance: random.Random) -> str:
    start = datetime(2014, 1, 1, tzinfo=UTC) + timedelta(hours=chance.randrange(DAYS * 24))
    end = start + timedelta(hours=1)
    return f"date=ge{start:%Y-%m-%dT%H:%M:%SZ}&date=lt{end:%Y-%m-%dT%H:%M:%SZ}"


def _great_quantity(w: World, chance: random.Random) -> str:
    _, mean, spread, unit = _vital(chance)
    value = mean + spread * (2 + chance.random())
    return f"Observation?value-quantity=gt{value:.1f}|{UCUM}|{quote(unit)}"


def _composite(w: World, chance: random.Random) -> str:
    code, mean, spread, _ = _vital(chance)
    return f"Observation?code-value-quantity={LOINC}|{code}$gt{mean + spread * 2:.1f}"


def _near(w: World, chance: random.Random) -> str:
    at = f"{chance.uniform(-50, 60):.3f}|{chance.uniform(-170, 170):.3f}"
    return f"Location?near={at}|{chance.randrange(200, 900)}|km"


def _doctor(w: World, chance: random.Random) -> str:
    return f"Practitioner/dr{tail(chance, practitioners(w.patients))}"


SHAPES: dict[str, Shape] = {
    "token *": _shape(lambda w, c: f"Patient?identifier={w.mrn(c)}"),
    "token, system|code *": _shape(lambda w, c: f"Patient?identifier={MRN}|{w.mrn(c)}"),
    "token, a code": _shape(lambda w, c: f"Condition?code={SNOMED}|{_condition(c)}"),
    "token, one of five": _shape(
        lambda w, c: "Condition?code=" + ",".join(_condition(c) for _ in range(5))
    ),
    "token :not": _shape(lambda w, c: f"Observation?status:not=final&code={_vital(c)[0]}"),
    "token and token": _shape(
        lambda w, c: (
            f"MedicationRequest?code={_medicine(c)}&status={c.choice(('active', 'stopped'))}"
        )
    ),
    "string": _shape(lambda w, c: f"Patient?name={family(tail(c, 20_000))[:6]}"),
    "string :exact": _shape(lambda w, c: f"Patient?family:exact={family(tail(c, 20_000))}"),
    "string :contains": _shape(lambda w, c: f"Patient?family:contains={family(tail(c, 400))[2:7]}"),
    "date, a day": _shape(lambda w, c: f"Observation?date={_day(c)}"),
    "date, an hour": _shape(lambda w, c: f"Observation?{_hour(c)}"),
    "date, ap": _shape(
        lambda w, c: f"MedicationRequest?authoredon=ap{_day(c)}&code={_medicine(c)}"
    ),
    "date and token": _shape(
        lambda w, c: f"Observation?code={_vital(c)[0]}&date=ge{_day(c)}&date=lt2026"
    ),
    "reference *": _shape(lambda w, c: f"Observation?subject={w.patient(c)}"),
    "reference and token": _shape(
        lambda w, c: f"Observation?performer={_doctor(w, c)}&code={_vital(c)[0]}"
    ),
    "quantity with unit": _shape(_great_quantity),
    "number": _shape(lambda w, c: f"RiskAssessment?probability=gt0.{c.randrange(9900, 9999)}"),
    "uri *": _shape(
        lambda w, c: (
            "ValueSet?url=http://example.org/benchmark/ValueSet/"
            f"{c.randrange(value_sets(w.patients))}"
        )
    ),
    "composite": _shape(_composite),
    "chain *": _shape(lambda w, c: f"Observation?subject:Patient.identifier={MRN}|{w.mrn(c)}"),
    "chain of two": _shape(
        lambda w, c: (
            "Observation?encounter:Encounter.service-provider:Organization.name="
            f"{family(c.randrange(organizations(w.patients)))}"
        )
    ),
    "_has": _shape(lambda w, c: f"Patient?_has:Condition:patient:code={_condition(c)}"),
    "_has in _has": _shape(
        lambda w, c: (
            f"Practitioner?_has:Encounter:participant:_has:Condition:encounter:code={_condition(c)}"
        )
    ),
    "_include": _shape(
        lambda w, c: f"MedicationRequest?authoredon={_day(c)}&_include=MedicationRequest:subject"
    ),
    "_revinclude *": _shape(
        lambda w, c: f"Patient?identifier={MRN}|{w.mrn(c)}&_revinclude=Observation:subject"
    ),
    "_include:iterate *": _shape(
        lambda w, c: (
            f"DiagnosticReport?subject={w.patient(c)}&_include=DiagnosticReport:result"
            "&_include:iterate=Observation:encounter"
        )
    ),
    "_sort, three pages": _shape(
        lambda w, c: (
            f"Patient?gender={c.choice(('male', 'female'))}"
            f"&birthdate=ge{c.randrange(1930, 2000)}&_sort=birthdate,_id"
        ),
        is_walk=True,
    ),
    "_sort=-date": _shape(lambda w, c: f"Observation?code={_vital(c)[0]}&_sort=-date"),
    "_sort=-date of a patient *": _shape(
        lambda w, c: f"Observation?subject={w.patient(c)}&_sort=-date"
    ),
    "_summary=count": _shape(lambda w, c: f"Condition?code={_condition(c)}&_summary=count"),
    "_total=accurate": _shape(
        lambda w, c: f"MedicationRequest?code={_medicine(c)}&_total=accurate"
    ),
    "_lastUpdated": _shape(lambda w, c: f"Encounter?_lastUpdated=ge{w.instant(c)}"),
    "_id, ten *": _shape(
        lambda w, c: "Patient?_id=" + ",".join(w.patient(c)[8:] for _ in range(10))
    ),
    ":missing": _shape(
        lambda w, c: f"Patient?death-date:missing=false&birthdate=lt{c.randrange(1930, 2015)}"
    ),
    "_tag": _shape(lambda w, c: f"Patient?_tag={TAG}|study{c.randrange(300)}"),
    "_profile": _shape(lambda w, c: f"Patient?_profile={PROFILE}{c.randrange(200)}"),
    "compartment *": _shape(lambda w, c: f"{w.patient(c)}/Condition?recorded-date=ge{_day(c)}"),
    "_filter": _shape(
        lambda w, c: (
            "Condition?_filter=" + quote(f"code eq {_condition(c)} and recorded-date ge {_day(c)}")
        )
    ),
    "_content": _shape(lambda w, c: f"DiagnosticReport?_content={family(c.randrange(20_000))}"),
    "near": _shape(_near),
}
"""The kinds of searches; those with a star find about as much whatever the size."""
