"""The formulary, and prescriptions from it.

https://hl7.org/fhir/R4/medicationrequest.html. RxNorm codes stand only where they are certain.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from fhirserver.demo.datatypes import concept, hl7, instant, quantity
from fhirserver.demo.systems import RXNORM
from fhirserver.model.json import Resource


class Medicine(NamedTuple):
    """A product and its usual dose: `dose` of `unit`, `frequency` times a day or as needed."""

    rxnorm: str | None
    name: str
    dose: str
    unit: str
    frequency: int
    days: int
    as_needed: bool = False
    route: tuple[str, str] = ("PO", "Swallow, oral")


_INHALED = ("IPINHL", "Inhalation, respiratory")
_ON_SKIN = ("TOPICAL", "Topical")

FORMULARY = {
    "acetaminophen": Medicine("198440", "acetaminophen 500 MG Oral Tablet", "1", "{tbl}", 3, 10,
                              True),
    "albuterol": Medicine("745679", "200 ACTUAT albuterol 0.09 MG/ACTUAT Metered Dose Inhaler",
                          "2", "{puff}", 4, 90, True, _INHALED),
    "alendronate": Medicine("904419", "alendronic acid 10 MG Oral Tablet", "1", "{tbl}", 1, 90),
    "amlodipine": Medicine("197361", "amlodipine 5 MG Oral Tablet", "1", "{tbl}", 1, 90),
    "amoxicillin": Medicine("308191", "amoxicillin 500 MG Oral Capsule", "1", "{capsule}", 3, 7),
    "aspirin": Medicine("243670", "aspirin 81 MG Oral Tablet", "1", "{tbl}", 1, 90),
    "atorvastatin": Medicine("617310", "atorvastatin 20 MG Oral Tablet", "1", "{tbl}", 1, 90),
    "ferrous-sulfate": Medicine("310325", "ferrous sulfate 325 MG Oral Tablet", "1", "{tbl}", 2,
                                90),
    "fluticasone-salmeterol": Medicine(
        "896209",
        "60 ACTUAT fluticasone propionate 0.25 MG/ACTUAT / salmeterol 0.05 MG/ACTUAT Dry Powder "
        "Inhaler", "1", "{puff}", 2, 90, False, _INHALED),
    "furosemide": Medicine("313988", "furosemide 40 MG Oral Tablet", "1", "{tbl}", 1, 90),
    "hydrocortisone": Medicine("106258", "hydrocortisone 10 MG/ML Topical Cream", "1",
                               "{application}", 2, 14, True, _ON_SKIN),
    "ibuprofen": Medicine("310965", "ibuprofen 200 MG Oral Tablet", "2", "{tbl}", 3, 7, True),
    "levothyroxine": Medicine(None, "levothyroxine sodium 50 MCG Oral Tablet", "1", "{tbl}", 1,
                              90),
    "lisinopril": Medicine("314076", "lisinopril 10 MG Oral Tablet", "1", "{tbl}", 1, 90),
    "loratadine": Medicine(None, "loratadine 10 MG Oral Tablet", "1", "{tbl}", 1, 30, True),
    "metformin": Medicine("861007", "metformin hydrochloride 500 MG Oral Tablet", "1", "{tbl}", 2,
                          90),
    "metoprolol": Medicine("866924", "metoprolol tartrate 25 MG Oral Tablet", "1", "{tbl}", 2,
                           90),
    "nitrofurantoin": Medicine("311995", "nitrofurantoin, macrocrystals 50 MG Oral Capsule", "1",
                               "{capsule}", 4, 5),
    "omeprazole": Medicine("198051", "omeprazole 20 MG Delayed Release Oral Capsule", "1",
                           "{capsule}", 1, 60),
    "sertraline": Medicine("312941", "sertraline 50 MG Oral Tablet", "1", "{tbl}", 1, 90),
    "sumatriptan": Medicine(None, "sumatriptan 50 MG Oral Tablet", "1", "{tbl}", 1, 30, True),
    "warfarin": Medicine("855332", "warfarin sodium 5 MG Oral Tablet", "1", "{tbl}", 1, 90),
}  # fmt: skip

# The unit's word, and the verb of the instruction.
_UNITS = {
    "{tbl}": ("tablet", "Take"),
    "{capsule}": ("capsule", "Take"),
    "{puff}": ("puff", "Inhale"),
    "{application}": ("application", "Apply"),
}
_TIMES = {1: "once", 2: "twice", 3: "three times", 4: "four times"}


class Order(NamedTuple):
    """Who orders for whom, when and why: references, and whether it still runs."""

    subject: Resource
    encounter: Resource
    requester: Resource
    reason: Resource
    moment: datetime
    is_active: bool
    refills: int
    place: str


_CATEGORY = {"AMB": "outpatient", "EMER": "outpatient", "IMP": "inpatient"}


def prescription(key: str, order: Order) -> Resource:
    """The MedicationRequest for a product of the formulary, without its id."""
    medicine = FORMULARY[key]
    unit, _ = _UNITS[medicine.unit]
    amount = quantity(Decimal(medicine.dose), medicine.unit, unit)
    total = Decimal(medicine.dose) * medicine.frequency * medicine.days
    product: Resource = {"text": medicine.name}
    if medicine.rxnorm:
        product = concept(RXNORM, medicine.rxnorm, medicine.name)
    return {
        "resourceType": "MedicationRequest",
        "status": "active" if order.is_active else "completed",
        "intent": "order",
        "category": [hl7("medicationrequest-category", _CATEGORY[order.place])],
        "medicationCodeableConcept": product,
        "subject": order.subject,
        "encounter": order.encounter,
        "authoredOn": instant(order.moment),
        "requester": order.requester,
        "reasonReference": [order.reason],
        "dosageInstruction": [
            {
                "text": _sig(medicine),
                "timing": {
                    "repeat": {"frequency": medicine.frequency, "period": 1, "periodUnit": "d"}
                },
                "asNeededBoolean": medicine.as_needed,
                "route": hl7("v3-RouteOfAdministration", *medicine.route),
                "doseAndRate": [{"doseQuantity": amount}],
            }
        ],
        "dispenseRequest": {
            "validityPeriod": {
                "start": instant(order.moment),
                "end": instant(order.moment + timedelta(days=365)),
            },
            "numberOfRepeatsAllowed": order.refills,
            "quantity": quantity(total, medicine.unit, unit),
            "expectedSupplyDuration": quantity(Decimal(medicine.days), "d", "days"),
        },
    }


def _sig(medicine: Medicine) -> str:
    unit, verb = _UNITS[medicine.unit]
    plural = "" if medicine.dose == "1" else "s"
    limit, need = ("up to ", " as needed") if medicine.as_needed else ("", "")
    times = _TIMES[medicine.frequency]
    return f"{verb} {medicine.dose} {unit}{plural} {limit}{times} a day{need}"
