"""A made-up population for the search benchmark: seeded, quick to make, with many values.

A patient has 16 resources: Patient, 2 Encounters, 2 Conditions, 7 Observations (one with
components), 2 MedicationRequests, a DiagnosticReport and a RiskAssessment. Codes, names and
practitioners are drawn with a long tail, so that there are common and rare ones. `Directory`
resources (organizations, practitioners, locations, value sets) grow with the population.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from fhirserver.model.json import Resource

EACH = 16
"""Resources of a patient."""

MRN, SSN = "urn:oid:1.2.36.146", "urn:oid:2.16.840.1.113883.4.1"
SNOMED, LOINC, RXNORM = (
    "http://snomed.info/sct",
    "http://loinc.org",
    "urn:oid:2.16.840.1.113883.6.88",
)
UCUM = "http://unitsofmeasure.org"
TAG = "http://example.org/benchmark/tag"
PROFILE = "http://example.org/benchmark/profile-"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"

_FROM = datetime(2014, 1, 1, tzinfo=UTC)
DAYS = 4000
"""So many days from 1 January 2014 on have events."""

VITALS: Sequence[tuple[str, str, str, float, float]] = (
    ("8867-4", "Heart rate", "/min", 74, 12),
    ("9279-1", "Respiratory rate", "/min", 16, 3),
    ("8310-5", "Body temperature", "Cel", 36.8, 0.5),
    ("29463-7", "Body weight", "kg", 78, 16),
    ("8302-2", "Body height", "cm", 170, 11),
    ("39156-5", "Body mass index", "kg/m2", 26, 5),
    ("2708-6", "Oxygen saturation", "%", 97, 1.5),
    ("2339-0", "Glucose", "mg/dL", 105, 28),
    ("4548-4", "Hemoglobin A1c", "%", 5.9, 1.0),
    ("2160-0", "Creatinine", "mg/dL", 1.0, 0.3),
    ("718-7", "Hemoglobin", "g/dL", 13.8, 1.6),
    ("2093-3", "Cholesterol", "mg/dL", 190, 38),
)
CONDITIONS = tuple(f"{38000000 + 7919 * n}" for n in range(400))
MEDICINES = tuple(f"{100000 + 613 * n}" for n in range(300))
_WORDS = (  # noqa: SIM905 - easier to read
    "patient reports mild severe pain chest left right arm after exercise rest no fever cough "
    "since yesterday improved worse stable dose increased reduced follow weeks nausea headache "
    "vision swelling ankle breath short night daily morning evening allergy rash discussed"
).split()
_SYLLABLES = tuple(first + last for first in "bdklmnrst" for last in "aeo")


def family(number: int) -> str:
    """One of 20,000 family names; small numbers are the common ones."""
    text = ""
    for _ in range(4):
        number, place = divmod(number, len(_SYLLABLES))
        text += _SYLLABLES[(place * 11 + len(text)) % len(_SYLLABLES)]
    return text.capitalize()


def tail(chance: random.Random, count: int) -> int:
    """A number below `count`: small ones are common, large ones rare."""
    return int(count * chance.random() ** 3)


def day(number: int) -> str:
    return (_FROM + timedelta(days=number)).strftime("%Y-%m-%d")


def moment(chance: random.Random) -> str:
    when = _FROM + timedelta(seconds=chance.randrange(DAYS * 86_400))
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def practitioners(patients: int) -> int:
    return max(40, patients // 50)


def organizations(patients: int) -> int:
    return max(20, patients // 200)


def locations(patients: int) -> int:
    return max(50, patients // 30)


def value_sets(patients: int) -> int:
    return max(50, patients // 100)


def directory(patients: int) -> Iterator[Resource]:
    """What the patients' resources refer to, and some definitions."""
    chance = random.Random("directory")
    for n in range(organizations(patients)):
        made = _resource("Organization", f"org{n}", name=f"{family(n)} Clinic {n}", active=True)
        if n:
            made["partOf"] = {"reference": f"Organization/org{n // 10}"}
        yield made
    for n in range(practitioners(patients)):
        name = {"family": family(chance.randrange(20_000)), "given": [family(n % 700)]}
        yield _resource("Practitioner", f"dr{n}", name=[name], identifier=_identifiers(f"npi{n}"))
    for n in range(locations(patients)):
        place = {
            "latitude": Decimal(f"{chance.uniform(-60, 70):.5f}"),
            "longitude": Decimal(f"{chance.uniform(-180, 180):.5f}"),
        }
        yield _resource("Location", f"loc{n}", name=f"Ward {n}", position=place)
    for n in range(value_sets(patients)):
        url = f"http://example.org/benchmark/ValueSet/{n}"
        yield _resource("ValueSet", f"vs{n}", url=url, status="active", name=f"Set{n}")


def records(n: int, patients: int) -> list[Resource]:
    """The resources of the n-th patient of so many."""
    chance = random.Random(n)
    subject = {"reference": f"Patient/p{n}"}
    doctor = {"reference": f"Practitioner/dr{tail(chance, practitioners(patients))}"}
    visits = [_encounter(n, k, patients, chance, subject, doctor) for k in range(2)]
    tests = [_observation(n, k, chance, subject, doctor) for k in range(6)]
    return [
        _patient(n, patients, chance, doctor),
        *visits,
        *(_condition(n, k, chance, subject) for k in range(2)),
        *tests,
        _pressure(n, chance, subject, doctor),
        *(_medication(n, k, chance, subject, doctor) for k in range(2)),
        _report(n, chance, subject, tests),
        _risk(n, chance, subject),
    ]


def _resource(type: str, id: str, /, **elements: object) -> Resource:
    return {"resourceType": type, "id": id, **elements}


def _identifiers(value: str) -> list[Resource]:
    return [{"system": MRN, "value": value}]


def _concept(system: str, code: str, text: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": text}], "text": text}


def _quantity(value: float, unit: str) -> Resource:
    return {"value": Decimal(f"{value:.1f}"), "unit": unit, "system": UCUM, "code": unit}


def _patient(n: int, patients: int, chance: random.Random, doctor: Resource) -> Resource:
    born = date(1925, 1, 1) + timedelta(days=chance.randrange(34_000))
    made = _resource(
        "Patient",
        f"p{n}",
        meta={"profile": [f"{PROFILE}{chance.randrange(200)}"]},
        identifier=[*_identifiers(f"mrn{n}"), {"system": SSN, "value": f"{n * 7 + 100_000_000}"}],
        active=True,
        name=[{"family": family(tail(chance, 20_000)), "given": [family(tail(chance, 3000))]}],
        gender="female" if chance.random() < 0.51 else "male",
        birthDate=born.isoformat(),
        address=[
            {
                "line": [f"{chance.randrange(999)} {family(chance.randrange(5000))} Street"],
                "city": family(tail(chance, 4000)),
                "postalCode": f"{chance.randrange(100_000):05}",
            }
        ],
        telecom=[{"system": "phone", "value": f"555-{n:08}"}],
        generalPractitioner=[doctor],
        managingOrganization={
            "reference": f"Organization/org{tail(chance, organizations(patients))}"
        },
    )
    if chance.random() < 0.1:
        made["meta"]["tag"] = [{"system": TAG, "code": f"study{chance.randrange(300)}"}]
    if chance.random() < 0.05:
        made["deceasedDateTime"] = moment(chance)
    return made


def _encounter(
    n: int, k: int, patients: int, chance: random.Random, subject: Resource, doctor: Resource
) -> Resource:
    start = moment(chance)
    hospital = f"Organization/org{tail(chance, organizations(patients))}"
    return _resource(
        "Encounter",
        f"e{n}-{k}",
        status="finished" if chance.random() < 0.97 else "in-progress",
        **{"class": {"code": chance.choice(("AMB", "IMP", "EMER"))}},
        type=[_concept(SNOMED, CONDITIONS[tail(chance, 60)], "Visit")],
        subject=subject,
        participant=[{"individual": doctor}],
        period={"start": start, "end": start[:10]},
        serviceProvider={"reference": hospital},
        location=[{"location": {"reference": f"Location/loc{tail(chance, locations(patients))}"}}],
    )


def _condition(n: int, k: int, chance: random.Random, subject: Resource) -> Resource:
    number = tail(chance, len(CONDITIONS))
    return _resource(
        "Condition",
        f"c{n}-{k}",
        clinicalStatus=_concept("urn:status", chance.choice(("active", "resolved")), "Status"),
        code=_concept(SNOMED, CONDITIONS[number], f"Disorder of {family(number)}"),
        subject=subject,
        encounter={"reference": f"Encounter/e{n}-{k}"},
        onsetDateTime=moment(chance),
        recordedDate=day(chance.randrange(DAYS)),
    )


def _measured(
    n: int, k: int, chance: random.Random, subject: Resource, doctor: Resource
) -> Resource:
    return _resource(
        "Observation",
        f"o{n}-{k}",
        status="final" if chance.random() < 0.98 else "amended",
        category=[_concept(CATEGORY, "vital-signs" if k < 4 else "laboratory", "Category")],
        subject=subject,
        encounter={"reference": f"Encounter/e{n}-{k % 2}"},
        effectiveDateTime=moment(chance),
        performer=[doctor],
    )


def _observation(
    n: int, k: int, chance: random.Random, subject: Resource, doctor: Resource
) -> Resource:
    code, text, unit, mean, spread = VITALS[(k * 5 + chance.randrange(4)) % len(VITALS)]
    made = _measured(n, k, chance, subject, doctor)
    made["code"] = _concept(LOINC, code, text)
    made["valueQuantity"] = _quantity(max(0.1, chance.gauss(mean, spread)), unit)
    return made


def _pressure(n: int, chance: random.Random, subject: Resource, doctor: Resource) -> Resource:
    made = _measured(n, 6, chance, subject, doctor)
    made["code"] = _concept(LOINC, "85354-9", "Blood pressure panel")
    made["component"] = [
        {
            "code": _concept(LOINC, code, text),
            "valueQuantity": _quantity(chance.gauss(*at), "mm[Hg]"),
        }
        for code, text, at in (("8480-6", "Systolic", (126, 17)), ("8462-4", "Diastolic", (79, 11)))
    ]
    return made


def _medication(
    n: int, k: int, chance: random.Random, subject: Resource, doctor: Resource
) -> Resource:
    number = tail(chance, len(MEDICINES))
    return _resource(
        "MedicationRequest",
        f"m{n}-{k}",
        status=chance.choice(("active", "completed", "stopped")),
        intent="order",
        medicationCodeableConcept=_concept(RXNORM, MEDICINES[number], f"{family(number)} tablet"),
        subject=subject,
        authoredOn=day(chance.randrange(DAYS)),
        requester=doctor,
        note=[{"text": " ".join(chance.choices(_WORDS, k=12))}],
    )


def _report(
    n: int, chance: random.Random, subject: Resource, tests: Sequence[Resource]
) -> Resource:
    return _resource(
        "DiagnosticReport",
        f"r{n}",
        status="final",
        code=_concept(LOINC, "58410-2", "Complete blood count panel"),
        subject=subject,
        issued=moment(chance),
        result=[{"reference": f"Observation/{test['id']}"} for test in tests[3:]],
        conclusion=f"{' '.join(chance.choices(_WORDS, k=8))} {family(chance.randrange(20_000))}",
    )


def _risk(n: int, chance: random.Random, subject: Resource) -> Resource:
    likely = {"probabilityDecimal": Decimal(f"{chance.random():.4f}")}
    return _resource(
        "RiskAssessment", f"k{n}", status="final", subject=subject, prediction=[likely]
    )
