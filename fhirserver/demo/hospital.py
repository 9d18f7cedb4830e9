"""The made-up hospital: organisations, clinics, wards, beds, staff and their calendars.

https://hl7.org/fhir/R4/administration-module.html
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from fhirserver.demo.calendar import SLOT_MINUTES, working_days
from fhirserver.demo.datatypes import coding, hl7, identifier, instant, minutes, period, reference
from fhirserver.demo.dice import Dice
from fhirserver.demo.person import Person, Sex, phone
from fhirserver.demo.systems import HL7, STAFF_NUMBER
from fhirserver.model.json import Resource

NAME = "Lindholm Harbour Hospital"


class Clinic(NamedTuple):
    """`service` is a code of HL7's service-type, with its display."""

    name: str
    service: tuple[str, str]


CLINICS = {
    "general": Clinic("General practice", ("124", "General Practice")),
    "paediatrics": Clinic("Children's clinic", ("200", "Paediatric Medicine")),
    "cardiology": Clinic("Heart clinic", ("165", "Cardiology")),
    "endocrinology": Clinic("Diabetes and hormone clinic", ("169", "Endocrinology")),
    "respiratory": Clinic("Lung clinic", ("430", "Respiratory")),
    "orthopaedics": Clinic("Bone and joint clinic", ("218", "Orthopaedic Surgery")),
    "emergency": Clinic("Emergency department", ("117", "Emergency Medical")),
    "ward": Clinic("Ward 3 North", ("221", "Surgery - General")),
}


class Member(NamedTuple):
    """A member of staff; `role` is a code of HL7's practitioner-role."""

    given: str
    family: str
    sex: Sex
    role: str
    clinic: str


STAFF = (
    Member("Miriam", "Halloway", "female", "doctor", "general"),
    Member("Tomasz", "Wrzesień", "male", "doctor", "general"),
    Member("Ngozi", "Ekwueme", "female", "doctor", "general"),
    Member("Laurent", "Bélanger", "male", "doctor", "paediatrics"),
    Member("Signe", "Østergård", "female", "doctor", "paediatrics"),
    Member("Rajesh", "Venkatesan", "male", "doctor", "cardiology"),
    Member("Elif", "Karagöz", "female", "doctor", "endocrinology"),
    Member("Hiroko", "Fujimura", "female", "doctor", "respiratory"),
    Member("Cormac", "Ó Súilleabháin", "male", "doctor", "orthopaedics"),
    Member("Yolanda", "Ibarra Peña", "female", "doctor", "emergency"),
    Member("Anders", "Lindqvist", "male", "doctor", "ward"),
    Member("Patience", "Mensah", "female", "nurse", "general"),
    Member("Jakub", "Havlíček", "male", "nurse", "emergency"),
    Member("Mei-Ling", "Tsai", "female", "nurse", "ward"),
)

INSURERS = ("Brackwater Mutual", "Seaway Health Plan", "Commonwealth Care Fund")
BEDS = 8
_SITE = "Organization/hospital"
_ROLES = {"doctor": "Doctor", "nurse": "Nurse"}


def doctors(clinic: str) -> list[int]:
    """The numbers of the clinic's doctors."""
    return [
        number
        for number, member in enumerate(STAFF, 1)
        if member.clinic == clinic and member.role == "doctor"
    ]


def nurse(clinic: str) -> int:
    """The number of the nurse who looks after a clinic."""
    near = {"emergency": "emergency", "ward": "ward"}.get(clinic, "general")
    return next(
        number
        for number, member in enumerate(STAFF, 1)
        if member.clinic == near and member.role == "nurse"
    )


def home_doctor(person: Person) -> int:
    """The number of the doctor who looks after a patient in the first place."""
    staff = doctors("general" if person.is_adult else "paediatrics")
    return staff[person.index % len(staff)]


def practitioner(number: int) -> Resource:
    """A reference to a member of staff."""
    return reference("Practitioner", f"practitioner-{number}", staff_name(number))


def staff_name(number: int) -> str:
    member = STAFF[number - 1]
    title = "Dr. " if member.role == "doctor" else ""
    return f"{title}{member.given} {member.family}"


def location(clinic: str) -> Resource:
    return reference("Location", f"location-{clinic}", CLINICS[clinic].name)


def service_type(clinic: str) -> Resource:
    return hl7("service-type", *CLINICS[clinic].service)


def hospital(dice: Dice, today: date) -> Iterator[Resource]:
    """Everything that the patients' resources refer to, each with its id."""
    yield from _organizations(dice)
    yield from _locations(dice)
    for number, member in enumerate(STAFF, 1):
        yield _practitioner(number, member, dice)
        yield _role(number, member)
    for key in CLINICS:
        yield _service(key)
    for number, member in enumerate(STAFF, 1):
        if member.role == "doctor" and member.clinic not in ("emergency", "ward"):
            yield _schedule(number, member, today)
            yield from _free_slots(number, member, today)


def _organizations(dice: Dice) -> Iterator[Resource]:
    yield {
        "resourceType": "Organization",
        "id": "hospital",
        "active": True,
        "type": [hl7("organization-type", "prov", "Healthcare Provider")],
        "name": NAME,
        "telecom": [{"system": "phone", "value": phone(dice), "use": "work"}],
        "address": [_ADDRESS],
    }
    for number, name in enumerate(INSURERS, 1):
        yield {
            "resourceType": "Organization",
            "id": f"insurer-{number}",
            "active": True,
            "type": [hl7("organization-type", "ins", "Insurance Company")],
            "name": name,
            "telecom": [{"system": "phone", "value": phone(dice), "use": "work"}],
        }


_ADDRESS = {
    "use": "work",
    "line": ["1 Harbour Street"],
    "city": "Port Lindholm",
    "district": "Lindholm",
    "state": "MA",
    "postalCode": "00001",
    "country": "US",
}


def _locations(dice: Dice) -> Iterator[Resource]:
    yield _location("location-site", NAME, ("si", "Site"), None) | {"address": _ADDRESS}
    for key, clinic in CLINICS.items():
        kind = ("wa", "Ward") if key == "ward" else ("wi", "Wing")
        yield _location(f"location-{key}", clinic.name, kind, "location-site") | {
            "telecom": [{"system": "phone", "value": phone(dice), "use": "work"}]
        }
    for number in range(1, BEDS + 1):
        yield _location(
            f"location-bed-{number}", f"Ward 3 North, bed {number}", ("bd", "Bed"), "location-ward"
        ) | {"operationalStatus": coding(HL7 + "v2-0116", "U", "Unoccupied")}


def _location(id: str, name: str, kind: tuple[str, str], parent: str | None) -> Resource:
    out: Resource = {
        "resourceType": "Location",
        "id": id,
        "status": "active",
        "name": name,
        "mode": "instance",
        "physicalType": hl7("location-physical-type", *kind),
        "managingOrganization": {"reference": _SITE},
    }
    if parent:
        out["partOf"] = reference("Location", parent)
    return out


def _practitioner(number: int, member: Member, dice: Dice) -> Resource:
    name: Resource = {"use": "official", "family": member.family, "given": [member.given]}
    if member.role == "doctor":
        name["prefix"] = ["Dr."]
    return {
        "resourceType": "Practitioner",
        "id": f"practitioner-{number}",
        "identifier": [identifier(STAFF_NUMBER, f"S-{1000 + number}")],
        "active": True,
        "name": [name],
        "telecom": [
            {"system": "phone", "value": phone(dice), "use": "work"},
            {"system": "email", "value": f"staff{number}@example.org", "use": "work"},
        ],
        "gender": member.sex,
    }


def _role(number: int, member: Member) -> Resource:
    return {
        "resourceType": "PractitionerRole",
        "id": f"role-{number}",
        "active": True,
        "practitioner": practitioner(number),
        "organization": {"reference": _SITE, "display": NAME},
        "code": [hl7("practitioner-role", member.role, _ROLES[member.role])],
        "specialty": [service_type(member.clinic)],
        "location": [location(member.clinic)],
        "healthcareService": [reference("HealthcareService", f"service-{member.clinic}")],
        "availableTime": [
            {
                "daysOfWeek": ["mon", "tue", "wed", "thu", "fri"],
                "availableStartTime": "08:00:00",
                "availableEndTime": "17:00:00",
            }
        ],
    }


def _service(clinic: str) -> Resource:
    return {
        "resourceType": "HealthcareService",
        "id": f"service-{clinic}",
        "active": True,
        "providedBy": {"reference": _SITE},
        "type": [service_type(clinic)],
        "location": [location(clinic)],
        "name": CLINICS[clinic].name,
        "appointmentRequired": clinic not in ("emergency", "ward"),
    }


def _schedule(number: int, member: Member, today: date) -> Resource:
    opening = datetime.combine(today, time(8))
    return {
        "resourceType": "Schedule",
        "id": f"schedule-{number}",
        "active": True,
        "serviceType": [service_type(member.clinic)],
        "actor": [practitioner(number), location(member.clinic)],
        "planningHorizon": period(opening, opening + timedelta(days=365, hours=9)),
        "comment": f"{staff_name(number)}: every {SLOT_MINUTES} minutes from 08:00 to 17:00.",
    }


def _free_slots(number: int, member: Member, today: date) -> Iterator[Resource]:
    """What is left of the afternoons; mornings are for the appointments already made."""
    for index, day in enumerate(working_days(today + timedelta(days=1), 5)):
        for hour in (14, 15):
            start = datetime.combine(day, time(hour))
            yield {
                "resourceType": "Slot",
                "id": f"slot-{number}-{index + 1}-{hour}",
                "serviceType": [service_type(member.clinic)],
                "schedule": reference("Schedule", f"schedule-{number}"),
                "status": "free",
                "start": instant(start),
                "end": instant(start + minutes(SLOT_MINUTES)),
            }
