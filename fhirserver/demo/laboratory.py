"""Laboratory panels, their usual values, and reports of them.

https://hl7.org/fhir/R4/diagnosticreport.html
"""

from __future__ import annotations

from typing import NamedTuple

from fhirserver.demo.datatypes import concept, hl7, number, quantity
from fhirserver.demo.dice import Dice
from fhirserver.demo.systems import LOINC
from fhirserver.model.json import Resource


class Analyte(NamedTuple):
    """A measured value: usual mean and deviation, reference range, decimal places."""

    code: str
    display: str
    unit: str
    mean: float
    deviation: float
    low: float
    high: float
    places: int


class Panel(NamedTuple):
    code: str
    display: str
    section: tuple[str, str]
    analytes: tuple[Analyte, ...]


_CHEMISTRY = ("CH", "Chemistry")
_HEMATOLOGY = ("HM", "Hematology")

PANELS = {
    "metabolic": Panel(
        "51990-0", "Basic metabolic panel - Blood", _CHEMISTRY,
        (
            Analyte("2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL",
                    92, 8, 70, 110, 0),
            Analyte("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL",
                    0.9, 0.13, 0.6, 1.3, 2),
            Analyte("3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma", "mg/dL",
                    14, 3, 7, 20, 0),
            Analyte("2951-2", "Sodium [Moles/volume] in Serum or Plasma", "mmol/L",
                    140, 1.8, 135, 145, 0),
            Analyte("2823-3", "Potassium [Moles/volume] in Serum or Plasma", "mmol/L",
                    4.2, 0.3, 3.5, 5.1, 1),
        ),
    ),
    "hba1c": Panel(
        "4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", _CHEMISTRY,
        (
            Analyte("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%",
                    5.3, 0.25, 4.0, 5.7, 1),
        ),
    ),
    "lipids": Panel(
        "57698-3", "Lipid panel with direct LDL - Serum or Plasma", _CHEMISTRY,
        (
            Analyte("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "mg/dL",
                    182, 22, 100, 200, 0),
            Analyte("13457-7", "Cholesterol in LDL [Mass/volume] in Serum or Plasma by "
                    "calculation", "mg/dL", 104, 18, 50, 130, 0),
            Analyte("2085-9", "Cholesterol in HDL [Mass/volume] in Serum or Plasma", "mg/dL",
                    54, 9, 40, 90, 0),
            Analyte("2571-8", "Triglyceride [Mass/volume] in Serum or Plasma", "mg/dL",
                    118, 30, 40, 150, 0),
        ),
    ),
    "thyroid": Panel(
        "3016-3", "Thyrotropin [Units/volume] in Serum or Plasma", _CHEMISTRY,
        (
            Analyte("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma", "m[IU]/L",
                    2.0, 0.7, 0.4, 4.0, 2),
        ),
    ),
    "blood-count": Panel(
        "58410-2", "CBC panel - Blood by Automated count", _HEMATOLOGY,
        (
            Analyte("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL",
                    14.0, 0.9, 12.0, 17.0, 1),
            Analyte("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count", "%",
                    42, 2.6, 36, 50, 1),
            Analyte("6690-2", "Leukocytes [#/volume] in Blood by Automated count", "10*3/uL",
                    6.9, 1.3, 4.0, 11.0, 1),
            Analyte("777-3", "Platelets [#/volume] in Blood by Automated count", "10*3/uL",
                    255, 42, 150, 400, 0),
        ),
    ),
}  # fmt: skip

# By problem: analyte -> factor on the usual mean while the problem is poorly controlled.
SHIFTS = {
    "E11.9": {"4548-4": 1.55, "2345-7": 1.6},
    "E78.5": {"2093-3": 1.32, "13457-7": 1.5, "2571-8": 1.45},
    "E66.9": {"2571-8": 1.25, "2085-9": 0.85},
    "I25.10": {"13457-7": 1.3},
    "N18.30": {"2160-0": 1.9, "3094-0": 1.8, "718-7": 0.88},
    "E03.9": {"3016-3": 3.1},
    "D50.9": {"718-7": 0.74, "4544-3": 0.76},
    "I50.9": {"2951-2": 0.97, "3094-0": 1.3},
}


def result(analyte: Analyte, factor: float, dice: Dice) -> Resource:
    """Value, interpretation and reference range of one Observation."""
    value = number(dice.normal(analyte.mean * factor, analyte.deviation), analyte.places)
    low, high = (number(limit, analyte.places) for limit in (analyte.low, analyte.high))
    code, display = ("L", "Low") if value < low else ("H", "High") if value > high else NORMAL
    return {
        "code": concept(LOINC, analyte.code, analyte.display),
        "valueQuantity": quantity(value, analyte.unit),
        "interpretation": [hl7("v3-ObservationInterpretation", code, display)],
        "referenceRange": [
            {"low": quantity(low, analyte.unit), "high": quantity(high, analyte.unit)}
        ],
    }


NORMAL = ("N", "Normal")


def conclusion(results: list[Resource]) -> str:
    """What the report says in words."""
    odd = [
        f"{one['code']['text']} {one['interpretation'][0]['coding'][0]['display'].lower()}"
        for one in results
        if one["interpretation"][0]["coding"][0]["code"] != NORMAL[0]
    ]
    return "; ".join(odd) or "All values within the reference range."
