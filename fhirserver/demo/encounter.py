"""One visit as resources: the Encounter and all that was found, done, ordered and charged.

https://hl7.org/fhir/R4/encounter.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

from fhirserver.demo import appointments, billing, laboratory, notes, vital_signs
from fhirserver.demo.chart import Chart
from fhirserver.demo.datatypes import (
    coding,
    concept,
    hl7,
    identifier,
    instant,
    minutes,
    period,
    reference,
)
from fhirserver.demo.dice import Dice
from fhirserver.demo.hospital import (
    BEDS,
    NAME,
    doctors,
    location,
    nurse,
    practitioner,
    service_type,
)
from fhirserver.demo.medicines import Order, prescription
from fhirserver.demo.procedures import procedure
from fhirserver.demo.systems import HL7, ICD10CM, LOINC, VISIT_NUMBER, VISIT_TYPE
from fhirserver.demo.visits import Suffering, Visit
from fhirserver.model.json import Resource

_CLASSES = {"AMB": "ambulatory", "EMER": "emergency", "IMP": "inpatient encounter"}
_TYPES = {"checkup": "Check-up", "follow-up": "Follow-up visit", "illness": "Visit for illness"}
# ICD-10-CM reasons for a check-up: of an adult, of a child.
_CHECKUPS = {
    True: ("Z00.00", "Encounter for general adult medical examination without abnormal findings"),
    False: ("Z00.129", "Encounter for routine child health examination without abnormal findings"),
}
_REPORTED_DAYS = 150
"""A panel is not repeated within this time."""
_RENEWED_DAYS = 300


@dataclass(slots=True)
class Case:
    """What the visits of a person share; `ordered` and `tested` tell when last, by key."""

    chart: Chart
    dice: Dice
    payer: billing.Payer
    conditions: dict[Suffering, Resource]
    ordered: dict[str, date] = field(default_factory=dict)
    tested: dict[str, date] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scene:
    """One visit of a case: references to the encounter, the doctor and the episode's condition."""

    visit: Visit
    encounter: Resource
    doctor: Resource
    complaint: Resource | None

    def about(self, person: Resource) -> Resource:
        return {"subject": person, "encounter": self.encounter}


def write(case: Case, visit: Visit) -> None:
    """Files all resources of a visit."""
    staff = doctors(visit.clinic)
    number = staff[case.chart.person.index % len(staff)]
    doctor = practitioner(number)
    complaint = _complaint(case, visit, doctor) if visit.episode else None
    encounter = case.chart.add(_encounter(case, visit, doctor, complaint))
    scene = Scene(visit, encounter, doctor, complaint)
    _vital_signs(case, scene)
    services = [_attendance(visit)]
    services += _procedures(case, scene)
    services += _laboratory(case, scene)
    _prescriptions(case, scene)
    billing.invoice(case.chart, case.payer, billing.Bill(visit, encounter, doctor), services)
    appointments.kept(case.chart, visit, number)
    if visit.kind != "checkup" and (case.chart.person.today - visit.day).days < 200:
        case.chart.add(notes.progress_note(visit, scene.about(case.chart.person.reference), doctor))


def _complaint(case: Case, visit: Visit, doctor: Resource) -> Resource:
    """The Condition that brought the patient; it passes after the episode's days."""
    episode, person = visit.episode, case.chart.person
    assert episode is not None
    over = visit.day + timedelta(days=episode.days)
    is_over = over <= person.last_day
    status = ("resolved", "Resolved") if is_over else ("active", "Active")
    out: Resource = {
        "resourceType": "Condition",
        "clinicalStatus": hl7("condition-clinical", *status),
        "verificationStatus": hl7("condition-ver-status", "confirmed", "Confirmed"),
        "category": [hl7("condition-category", "encounter-diagnosis", "Encounter Diagnosis")],
        "code": concept(ICD10CM, episode.code, episode.display),
        "subject": person.reference,
        "onsetDateTime": (visit.day - timedelta(days=case.dice.between(0, 3))).isoformat(),
    }
    if is_over:
        out["abatementDateTime"] = over.isoformat()
    return case.chart.add(out | {"recordedDate": visit.day.isoformat(), "recorder": doctor})


def _encounter(case: Case, visit: Visit, doctor: Resource, complaint: Resource | None) -> Resource:
    person = case.chart.person
    number = f"V{person.index:05d}-{visit.start:%y%m%d%H%M}"
    out: Resource = {
        "resourceType": "Encounter",
        "identifier": [identifier(VISIT_NUMBER, number)],
        "status": "finished",
        "class": coding(HL7 + "v3-ActCode", visit.place, _CLASSES[visit.place]),
        "type": [concept(VISIT_TYPE, visit.kind, _TYPES[visit.kind])],
        "serviceType": service_type(visit.clinic),
        "subject": person.reference,
        "participant": [
            {
                "type": [hl7("v3-ParticipationType", "PPRF", "primary performer")],
                "individual": doctor,
            }
        ],
        "period": period(visit.start, visit.end),
        "reasonCode": [_reason(visit, person.is_adult)],
    }
    seen = [complaint] if complaint else [case.conditions[one] for one in visit.sufferings]
    if seen:
        role = hl7("diagnosis-role", "AD", "Admission diagnosis")
        use = {"use": role} if visit.place == "IMP" else {}
        out["diagnosis"] = [
            {"condition": condition, **use, "rank": rank} for rank, condition in enumerate(seen, 1)
        ]
    out["location"] = [{"location": _place(case, visit), "status": "completed"}]
    out["serviceProvider"] = reference("Organization", "hospital", NAME)
    return out


def _reason(visit: Visit, is_adult: bool) -> Resource:
    if visit.episode:
        return {"text": visit.episode.complaint}
    if visit.sufferings:
        problem = visit.sufferings[0].problem
        return concept(ICD10CM, problem.code, problem.display)
    return concept(ICD10CM, *_CHECKUPS[is_adult])


def _place(case: Case, visit: Visit) -> Resource:
    if visit.place == "IMP":
        return reference("Location", f"location-bed-{case.dice.between(1, BEDS)}")
    return location(visit.clinic)


def _vital_signs(case: Case, scene: Scene) -> None:
    visit, person = scene.visit, case.chart.person
    age = (visit.day - person.birth).days / 365.25
    effects = [
        (one.problem.effect, one.strength(visit.day))
        for one in case.conditions
        if one.onset <= visit.day
    ]
    if visit.episode:
        effects.append((visit.episode.effect, 1.0))
    signs: tuple[str, ...] = vital_signs.ILLNESS if visit.episode else vital_signs.FOLLOW_UP
    if visit.kind == "checkup":
        signs = vital_signs.CHECKUP if age >= 3 else vital_signs.INFANT
    state = vital_signs.State(age, tuple(effects))
    taken = instant(visit.start + minutes(5))
    for found in vital_signs.measure(person, state, signs, case.dice):
        case.chart.add(
            {
                "resourceType": "Observation",
                "status": "final",
                "category": [hl7("observation-category", "vital-signs", "Vital Signs")],
                "code": found["code"],
                **scene.about(person.reference),
                "effectiveDateTime": taken,
                "performer": [practitioner(nurse(visit.clinic))],
                **found,
            }
        )


def _attendance(visit: Visit) -> billing.Service:
    days = max(1, (visit.end.date() - visit.day).days) if visit.place == "IMP" else 1
    return billing.Service(visit.place, days)


def _procedures(case: Case, scene: Scene) -> list[billing.Service]:
    keys = scene.visit.episode.procedures if scene.visit.episode else ()
    out = []
    for key in keys:
        done = procedure(key, scene.visit)
        more: Resource = {"performer": [{"actor": scene.doctor}]}
        if scene.complaint:
            more["reasonReference"] = [scene.complaint]
        case.chart.add(done | scene.about(case.chart.person.reference) | more)
        out.append(billing.Service("procedure", 1, done["code"]["text"]))
    return out


def _laboratory(case: Case, scene: Scene) -> list[billing.Service]:
    visit, person = scene.visit, case.chart.person
    keys = [key for one in visit.sufferings for key in one.problem.panels]
    if visit.kind == "checkup" and person.age(visit.day) >= 40:
        keys += ["lipids", "metabolic"]
    out = []
    for key in dict.fromkeys(keys):
        last = case.tested.get(key)
        if last is None or (visit.day - last).days > _REPORTED_DAYS:
            case.tested[key] = visit.day
            _report(case, scene, laboratory.PANELS[key])
            out.append(billing.Service("laboratory", 1, laboratory.PANELS[key].display))
    return out


def _report(case: Case, scene: Scene, panel: laboratory.Panel) -> None:
    visit, about = scene.visit, scene.about(case.chart.person.reference)
    code = concept(LOINC, panel.code, panel.display)
    order = case.chart.add(
        {
            "resourceType": "ServiceRequest",
            "status": "completed",
            "intent": "order",
            "code": code,
            **about,
            "authoredOn": instant(visit.start + minutes(10)),
            "requester": scene.doctor,
        }
    )
    measured = about | {
        "effectiveDateTime": instant(visit.start + minutes(15)),
        "issued": instant(visit.start + minutes(200)),
        "performer": [reference("Organization", "hospital", NAME)],
    }
    results = [
        laboratory.result(analyte, _factor(case, analyte.code, visit.day), case.dice)
        for analyte in panel.analytes
    ]
    observations = [case.chart.add(_laboratory_value(order, measured, one)) for one in results]
    case.chart.add(
        {
            "resourceType": "DiagnosticReport",
            "basedOn": [order],
            "status": "final",
            "category": [hl7("v2-0074", *panel.section)],
            "code": code,
            **measured,
            "result": observations,
            "conclusion": laboratory.conclusion(results),
        }
    )


def _laboratory_value(order: Resource, measured: Resource, result: Resource) -> Resource:
    return {
        "resourceType": "Observation",
        "basedOn": [order],
        "status": "final",
        "category": [hl7("observation-category", "laboratory", "Laboratory")],
        "code": result["code"],
        **measured,
        **result,
    }


def _factor(case: Case, code: str, day: date) -> float:
    factor = 1.0
    for one in case.conditions:
        shift = laboratory.SHIFTS.get(one.problem.code, {}).get(code, 1.0)
        factor *= 1 + (shift - 1) * one.strength(day)
    return factor


def _prescriptions(case: Case, scene: Scene) -> None:
    """Medicines of an episode, and yearly renewals of those for long-standing problems."""
    visit, person = scene.visit, case.chart.person
    wanted: list[tuple[str, Resource, bool]] = []
    if visit.episode and scene.complaint:
        wanted = [(key, scene.complaint, False) for key in visit.episode.medicines]
    for one in visit.sufferings:
        for key in one.problem.medicines:
            last = case.ordered.get(key)
            if last is None or (visit.day - last).days > _RENEWED_DAYS:
                case.ordered[key] = visit.day
                runs = (person.today - visit.day).days <= 365 and person.death is None
                wanted.append((key, case.conditions[one], runs))
    for key, reason, runs in wanted:
        order = Order(
            subject=person.reference,
            encounter=scene.encounter,
            requester=scene.doctor,
            reason=reason,
            moment=visit.start + minutes(12),
            is_active=runs,
            refills=3 if runs else 0,
            place=visit.place,
        )
        case.chart.add(prescription(key, order))
