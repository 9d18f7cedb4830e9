"""Appointments: those kept, and those to come with the slot that they take.

https://hl7.org/fhir/R4/appointment.html
"""

from __future__ import annotations

from datetime import datetime, timedelta

from fhirserver.demo.calendar import SLOT_MINUTES, booked_time
from fhirserver.demo.chart import Chart
from fhirserver.demo.datatypes import hl7, instant, minutes, reference
from fhirserver.demo.dice import Dice
from fhirserver.demo.hospital import home_doctor, location, practitioner, service_type
from fhirserver.demo.visits import Visit, home_clinic
from fhirserver.model.json import Resource

_KEPT_DAYS = 120
_FOLLOW_UP = ("FOLLOWUP", "A follow up visit from a previous appointment")


def kept(chart: Chart, visit: Visit, doctor: int) -> None:
    """Files the appointment of a recent visit by arrangement."""
    is_recent = (chart.person.today - visit.day).days <= _KEPT_DAYS
    if visit.place == "AMB" and visit.kind != "illness" and is_recent:
        length = int((visit.end - visit.start).total_seconds()) // 60
        chart.add(_appointment(chart, visit.clinic, doctor, visit.start, length, "fulfilled"))


def upcoming(chart: Chart, dice: Dice) -> None:
    """Files the next appointment and its Slot, or now and then one that was cancelled."""
    person = chart.person
    clinic, doctor = home_clinic(person), home_doctor(person)
    # Two patients share a turn; their doctors differ, since numbers go round the doctors.
    start = booked_time((person.index - 1) // 2, person.today)
    if dice.chance(0.06):
        out = _appointment(chart, clinic, doctor, start, SLOT_MINUTES, "cancelled")
        out["cancelationReason"] = hl7("appointment-cancellation-reason", "pat", "Patient")
        chart.add(out)
        return
    slot = chart.add(
        {
            "resourceType": "Slot",
            "serviceType": [service_type(clinic)],
            "schedule": reference("Schedule", f"schedule-{doctor}"),
            "status": "busy",
            "start": instant(start),
            "end": instant(start + minutes(SLOT_MINUTES)),
        }
    )
    out = _appointment(chart, clinic, doctor, start, SLOT_MINUTES, "booked")
    chart.add(out | {"slot": [slot]})


def _appointment(
    chart: Chart, clinic: str, doctor: int, start: datetime, length: int, status: str
) -> Resource:
    created = start - timedelta(days=21, minutes=start.minute + 17)
    accepted = "accepted" if status != "cancelled" else "declined"
    return {
        "resourceType": "Appointment",
        "status": status,
        "serviceType": [service_type(clinic)],
        "appointmentType": hl7("v2-0276", *_FOLLOW_UP),
        "start": instant(start),
        "end": instant(start + minutes(length)),
        "minutesDuration": length,
        "created": instant(min(created, datetime.combine(chart.person.today, created.time()))),
        "participant": [
            {"actor": chart.person.reference, "required": "required", "status": accepted},
            {"actor": practitioner(doctor), "required": "required", "status": "accepted"},
            {"actor": location(clinic), "required": "required", "status": "accepted"},
        ],
    }
