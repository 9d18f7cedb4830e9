"""Procedures that are done for passing problems.

https://hl7.org/fhir/R4/procedure.html. Codes are ICD-10-PCS.
"""

from __future__ import annotations

from typing import NamedTuple

from fhirserver.demo.datatypes import concept, period
from fhirserver.demo.systems import ICD10PCS
from fhirserver.demo.visits import Visit
from fhirserver.model.json import Resource


class Operation(NamedTuple):
    code: str
    display: str
    text: str


OPERATIONS = {
    "appendectomy": Operation(
        "0DTJ4ZZ",
        "Resection of Appendix, Percutaneous Endoscopic Approach",
        "Laparoscopic appendectomy",
    ),
    "ecg": Operation(
        "4A02X4Z",
        "Measurement of Cardiac Electrical Activity, External Approach",
        "12-lead ECG",
    ),
    "chest-x-ray": Operation("BW03ZZZ", "Plain Radiography of Chest", "Chest X-ray"),
    "ankle-x-ray": Operation("BQ0GZZZ", "Plain Radiography of Right Ankle", "X-ray of the ankle"),
    "wrist-x-ray": Operation("BP0LZZZ", "Plain Radiography of Right Wrist", "X-ray of the wrist"),
    "wrist-cast": Operation(
        "2W3CX2Z",
        "Immobilization of Right Lower Arm using Cast",
        "Cast of the right forearm",
    ),
}


def procedure(key: str, visit: Visit) -> Resource:
    """The Procedure without subject, encounter, performer, reason and id."""
    operation = OPERATIONS[key]
    return {
        "resourceType": "Procedure",
        "status": "completed",
        "code": concept(ICD10PCS, operation.code, operation.display, operation.text),
        "performedPeriod": period(visit.start, min(visit.end, visit.start.replace(hour=18))),
    }
