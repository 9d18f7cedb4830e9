"""A patient's whole record, from the first to the last visit."""

from __future__ import annotations

from datetime import date, timedelta

from fhirserver.demo import allergies, appointments, billing, care, immunizations
from fhirserver.demo.chart import Chart
from fhirserver.demo.datatypes import concept, hl7
from fhirserver.demo.dice import Dice
from fhirserver.demo.encounter import Case, write
from fhirserver.demo.hospital import home_doctor, nurse, practitioner
from fhirserver.demo.person import patient, person, relative
from fhirserver.demo.systems import ICD10CM
from fhirserver.demo.visits import Suffering, sufferings, visits
from fhirserver.model.json import Resource


def record(index: int, seed: int, today: date) -> list[Resource]:
    """The resources of patient number `index` (from 1), the Patient first."""
    dice = Dice(seed, index)
    who = person(index, dice, today)
    chart = Chart(who)
    chart.add(patient(who, dice))
    chart.add(relative(who, dice))
    payer = billing.payer(chart, dice)
    problems = sufferings(who, dice)
    case = Case(chart, dice, payer, {one: _condition(chart, one) for one in problems})
    for one, condition in case.conditions.items():
        care.care_plan(chart, one, condition)
    for allergen in allergies.draw(dice):
        _allergy(chart, allergen, dice)
    for vaccine, day, dose in immunizations.given(who, dice):
        lot = dice.between(1, 99_999)
        chart.add(immunizations.immunization(vaccine, day, dose, lot) | _given_by(chart))
    for visit in visits(who, problems, dice):
        write(case, visit)
    if who.death is None:
        _outlook(case)
    return chart.resources


def _condition(chart: Chart, suffering: Suffering) -> Resource:
    problem = suffering.problem
    return chart.add(
        {
            "resourceType": "Condition",
            "clinicalStatus": hl7("condition-clinical", "active", "Active"),
            "verificationStatus": hl7("condition-ver-status", "confirmed", "Confirmed"),
            "category": [hl7("condition-category", "problem-list-item", "Problem List Item")],
            "code": concept(ICD10CM, problem.code, problem.display),
            "subject": chart.person.reference,
            "onsetDateTime": suffering.onset.isoformat(),
            "recordedDate": suffering.onset.isoformat(),
            "recorder": practitioner(home_doctor(chart.person)),
        }
    )


def _allergy(chart: Chart, allergen: allergies.Allergen, dice: Dice) -> None:
    person = chart.person
    oldest = min(2000, (person.last_day - person.birth).days)
    recorded = person.last_day - timedelta(days=dice.between(0, oldest))
    chart.add(
        allergies.allergy(allergen, recorded, dice)
        | {"patient": person.reference, "recorder": practitioner(home_doctor(person))}
    )


def _given_by(chart: Chart) -> Resource:
    return {
        "patient": chart.person.reference,
        "performer": [{"actor": practitioner(nurse("general"))}],
    }


def _outlook(case: Case) -> None:
    """What lies ahead of a living patient."""
    chart, dice = case.chart, case.dice
    if case.conditions:
        care.task(chart, next(iter(case.conditions.values())), dice)
    if dice.chance(0.5):
        care.message(chart, dice)
    if case.conditions or dice.chance(0.5):
        appointments.upcoming(chart, dice)
