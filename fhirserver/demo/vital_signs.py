"""Vital signs that follow age, build and illness.

https://hl7.org/fhir/R4/observation-vitalsigns.html
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from fhirserver.demo.datatypes import coding, concept, hl7, number, quantity
from fhirserver.demo.dice import Dice
from fhirserver.demo.person import Person
from fhirserver.demo.problems import Effect
from fhirserver.demo.systems import LOINC
from fhirserver.model.json import Resource


class Sign(NamedTuple):
    code: str
    display: str
    unit: str
    label: str
    places: int
    low: float | None = None
    high: float | None = None


SIGNS = {
    "pulse": Sign("8867-4", "Heart rate", "/min", "beats/minute", 0, 50, 100),
    "breaths": Sign("9279-1", "Respiratory rate", "/min", "breaths/minute", 0, 11, 20),
    "temperature": Sign("8310-5", "Body temperature", "Cel", "°C", 1, 36.0, 37.9),
    "saturation": Sign("2708-6", "Oxygen saturation in Arterial blood", "%", "%", 0, 94, 100),
    "height": Sign("8302-2", "Body height", "cm", "cm", 1),
    "weight": Sign("29463-7", "Body weight", "kg", "kg", 1),
    "bmi": Sign("39156-5", "Body mass index (BMI) [Ratio]", "kg/m2", "kg/m2", 1, 18.5, 29.9),
    "systolic": Sign("8480-6", "Systolic blood pressure", "mm[Hg]", "mmHg", 0, 90, 139),
    "diastolic": Sign("8462-4", "Diastolic blood pressure", "mm[Hg]", "mmHg", 0, 55, 89),
}
_PULSE_OXIMETRY = coding(LOINC, "59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry")
_PRESSURE = concept(
    LOINC, "85354-9", "Blood pressure panel with all children optional", "Blood pressure"
)

_ADULT = 16
"""From this age the limits of `SIGNS` apply; for children no interpretation is given."""

# Age in years -> usual pulse, breaths a minute, systolic, diastolic, height of girls and of
# boys (cm), body mass index. Values between two rows are read off the line between them.
_USUAL = (
    (0.0, (135, 40, 75, 45, 50, 51, 13.5)),
    (1.0, (118, 30, 88, 50, 74, 76, 17.0)),
    (3.0, (105, 26, 92, 54, 95, 96, 15.8)),
    (6.0, (95, 22, 97, 58, 115, 116, 15.4)),
    (10.0, (86, 20, 103, 63, 138, 138, 16.7)),
    (14.0, (80, 18, 110, 66, 159, 163, 19.4)),
    (18.0, (74, 16, 115, 70, 163, 176, 21.8)),
    (40.0, (72, 15, 120, 76, 163, 177, 25.6)),
    (65.0, (72, 16, 129, 76, 161, 175, 26.4)),
    (100.0, (74, 17, 137, 72, 157, 170, 24.2)),
)

CHECKUP = ("pulse", "breaths", "temperature", "saturation", "pressure", "height", "weight", "bmi")
FOLLOW_UP = ("pulse", "pressure", "weight", "bmi")
ILLNESS = ("pulse", "breaths", "temperature", "saturation", "pressure")
INFANT = ("pulse", "breaths", "temperature", "height", "weight")


class State(NamedTuple):
    """How ill the person is: effects at their full strength times how little they are treated."""

    age: float
    effects: tuple[tuple[Effect, float], ...]


def measure(person: Person, state: State, signs: Iterable[str], dice: Dice) -> list[Resource]:
    """Code, value and interpretation of an Observation for each sign asked for."""
    values = _values(person, state, dice)
    return [
        _pressure(values, state.age)
        if name == "pressure"
        else _single(SIGNS[name], values[name], state.age)
        for name in signs
    ]


def _values(person: Person, state: State, dice: Dice) -> dict[str, float]:
    pulse, breaths, systolic, diastolic, girl, boy, bmi = _usual(state.age)
    sums = [sum(effect[i] * share for effect, share in state.effects) for i in range(7)]
    more = Effect(*sums)
    height = number((girl if person.sex == "female" else boy) * person.stature, 1)
    ratio = bmi * person.build * (1 + more.build) * dice.normal(1, 0.012)
    weight = number(ratio * float(height) ** 2 / 10_000, 1)
    top = max(80.0, dice.normal(systolic + more.systolic, 5))
    return {
        "pulse": max(44.0, dice.normal(pulse + more.pulse, 5)),
        "breaths": max(9.0, dice.normal(breaths + more.breaths, 1.3)),
        "temperature": min(40.4, dice.normal(36.7 + more.temperature, 0.2)),
        "saturation": min(100.0, max(84.0, dice.normal(97.8 + more.saturation, 0.7))),
        "systolic": top,
        "diastolic": min(top - 22, dice.normal(diastolic + more.diastolic, 4)),
        "height": float(height),
        "weight": float(weight),
        "bmi": float(weight) / (float(height) / 100) ** 2,
    }


def _usual(age: float) -> tuple[float, ...]:
    below, above = next(
        (low, high) for low, high in pairwise(_USUAL) if age <= high[0] or high is _USUAL[-1]
    )
    share = min(1.0, (age - below[0]) / (above[0] - below[0]))
    return tuple(a + (b - a) * share for a, b in zip(below[1], above[1], strict=True))


def _single(sign: Sign, value: float, age: float) -> Resource:
    code = concept(LOINC, sign.code, sign.display)
    if sign.code == "2708-6":
        code["coding"].append(_PULSE_OXIMETRY)
    return {"code": code} | _value(sign, value, age)


def _pressure(values: dict[str, float], age: float) -> Resource:
    parts = [
        {"code": concept(LOINC, SIGNS[name].code, SIGNS[name].display)}
        | _value(SIGNS[name], values[name], age)
        for name in ("systolic", "diastolic")
    ]
    return {"code": _PRESSURE, "component": parts}


def _value(sign: Sign, value: float, age: float) -> Resource:
    rounded = number(value, sign.places)
    out: Resource = {"valueQuantity": quantity(rounded, sign.unit, sign.label)}
    if sign.low is not None and sign.high is not None and age >= _ADULT:
        code, display = "N", "Normal"
        if rounded < number(sign.low, sign.places):
            code, display = "L", "Low"
        elif rounded > number(sign.high, sign.places):
            code, display = "H", "High"
        out["interpretation"] = [hl7("v3-ObservationInterpretation", code, display)]
    return out
