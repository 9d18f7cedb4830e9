"""Care plans with goals, nursing tasks, and messages.

https://hl7.org/fhir/R4/careprovision-module.html
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from decimal import Decimal

from fhirserver.demo.calendar import next_working_day
from fhirserver.demo.chart import Chart
from fhirserver.demo.datatypes import concept, hl7, instant, period, quantity
from fhirserver.demo.dice import Dice
from fhirserver.demo.hospital import home_doctor, nurse, practitioner
from fhirserver.demo.problems import Aim
from fhirserver.demo.systems import LOINC, NURSING_TASK, TASK_CODE
from fhirserver.demo.visits import Suffering
from fhirserver.model.json import Resource

# Code of our own list, words, and the days from today on which the task falls due.
_TASKS = (
    ("call", "Telephone the patient about the last results", 3),
    ("observation", "Check the blood pressure readings from home", 5),
    ("education", "Explain the new medicines", 7),
    ("sample", "Take blood before the next visit", 10),
)
_MESSAGES = (
    "Thank you for your message. Please keep taking the medicine as agreed.",
    "Your results are in. The doctor would like to talk about them at your next visit.",
    "Please bring the list of your blood pressure readings to the next visit.",
)


def care_plan(chart: Chart, suffering: Suffering, condition: Resource) -> None:
    """Files a CarePlan with its Goal for a problem that calls for one."""
    problem, person = suffering.problem, chart.person
    if not problem.advice:
        return
    start = datetime.combine(suffering.onset, time(9))
    plan: Resource = {
        "resourceType": "CarePlan",
        "status": "active" if person.death is None else "completed",
        "intent": "plan",
        "title": f"Care plan: {problem.display}",
        "subject": person.reference,
        "period": period(start) if person.death is None else period(start, _death(chart)),
        "author": practitioner(home_doctor(person)),
        "addresses": [condition],
    }
    if problem.aim:
        plan["goal"] = [chart.add(_goal(chart, suffering, problem.aim, condition))]
    plan["activity"] = [
        {
            "detail": {
                "status": "in-progress" if person.death is None else "stopped",
                "description": advice,
            }
        }
        for advice in problem.advice
    ]
    chart.add(plan)


def task(chart: Chart, focus: Resource, dice: Dice) -> None:
    """Files a task for the nurse of the patient's clinic, done or still to do."""
    code, text, days = dice.pick(_TASKS)
    is_done = dice.chance(0.4)
    written = datetime.combine(chart.person.last_day, time(11, 15)) - timedelta(
        days=dice.between(1, 6)
    )
    due = next_working_day(chart.person.today + timedelta(days=days))
    out: Resource = {
        "resourceType": "Task",
        "status": "completed" if is_done else "requested",
        "intent": "order",
        "priority": "routine",
        "code": {
            "coding": [
                {"system": TASK_CODE, "code": "fulfill", "display": "Fulfill the focal request"},
                {"system": NURSING_TASK, "code": code, "display": text},
            ],
            "text": text,
        },
        "description": text,
        "focus": focus,
        "for": chart.person.reference,
        "authoredOn": instant(written),
        "lastModified": instant(written + timedelta(hours=5 if is_done else 0)),
        "requester": practitioner(home_doctor(chart.person)),
        "owner": practitioner(nurse("general")),
        "restriction": {"period": {"end": instant(datetime.combine(due, time(17)))}},
    }
    if is_done:
        out["executionPeriod"] = period(written + timedelta(hours=4), written + timedelta(hours=5))
    chart.add(out)


def message(chart: Chart, dice: Dice) -> None:
    """Files a message from the doctor to the patient."""
    sent = datetime.combine(chart.person.last_day, time(9, 40)) - timedelta(
        days=dice.between(1, 60)
    )
    chart.add(
        {
            "resourceType": "Communication",
            "status": "completed",
            "category": [hl7("communication-category", "notification", "Notification")],
            "priority": "routine",
            "subject": chart.person.reference,
            "sent": instant(sent),
            "received": instant(sent + timedelta(minutes=dice.between(5, 600))),
            "recipient": [chart.person.reference],
            "sender": practitioner(home_doctor(chart.person)),
            "payload": [{"contentString": dice.pick(_MESSAGES)}],
        }
    )


def _goal(chart: Chart, suffering: Suffering, aim: Aim, condition: Resource) -> Resource:
    person = chart.person
    is_near = suffering.adherence > 0.7
    due = person.today + timedelta(days=180)
    return {
        "resourceType": "Goal",
        "lifecycleStatus": "active" if person.death is None else "cancelled",
        "achievementStatus": hl7(
            "goal-achievement",
            *(("achieved", "Achieved") if is_near else ("in-progress", "In Progress")),
        ),
        "description": {"text": aim.text},
        "subject": person.reference,
        "startDate": suffering.onset.isoformat(),
        "target": [
            {
                "measure": concept(LOINC, aim.code, aim.display),
                "detailQuantity": quantity(Decimal(aim.below), aim.unit) | {"comparator": "<"},
                "dueDate": due.isoformat(),
            }
        ],
        "addresses": [condition],
    }


def _death(chart: Chart) -> datetime:
    return datetime.combine(chart.person.last_day, time(12))
