"""Allergies and intolerances.

https://hl7.org/fhir/R4/allergyintolerance.html. Codes are the ICD-10-CM codes for allergy status.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from fhirserver.demo.datatypes import concept, hl7
from fhirserver.demo.dice import Dice
from fhirserver.demo.systems import ICD10CM
from fhirserver.model.json import Resource


class Allergen(NamedTuple):
    code: str
    display: str
    text: str
    category: str
    reactions: tuple[str, ...]
    weight: float


ALLERGENS = (
    Allergen("Z88.0", "Allergy status to penicillin", "Penicillin", "medication",
             ("Hives", "Itching rash", "Swelling of the face"), 10),
    Allergen("Z88.2", "Allergy status to sulfonamides", "Sulfonamides", "medication",
             ("Rash", "Fever"), 4),
    Allergen("Z88.6", "Allergy status to analgesic agent", "Ibuprofen", "medication",
             ("Wheezing", "Hives"), 3),
    Allergen("Z88.5", "Allergy status to narcotic agent", "Codeine", "medication",
             ("Vomiting", "Itching"), 3),
    Allergen("Z91.010", "Allergy to peanuts", "Peanuts", "food",
             ("Anaphylaxis", "Swelling of the lips"), 4),
    Allergen("Z91.011", "Allergy to milk products", "Cow's milk", "food",
             ("Vomiting", "Hives"), 3),
    Allergen("Z91.012", "Allergy to eggs", "Eggs", "food", ("Hives",), 2),
    Allergen("Z91.013", "Allergy to seafood", "Shellfish", "food",
             ("Swelling of the lips", "Hives"), 3),
    Allergen("Z91.030", "Bee allergy status", "Bee sting", "environment",
             ("Anaphylaxis", "Large local swelling"), 2),
    Allergen("Z91.040", "Latex allergy status", "Latex", "environment",
             ("Contact dermatitis",), 2),
)  # fmt: skip


def draw(dice: Dice) -> list[Allergen]:
    """None for most people, one or two for the others."""
    count = dice.weighted(((0, 70.0), (1, 24.0), (2, 6.0)))
    found: list[Allergen] = []
    while len(found) < count:
        one = dice.weighted([(allergen, allergen.weight) for allergen in ALLERGENS])
        if one not in found:
            found.append(one)
    return found


def allergy(allergen: Allergen, recorded: date, dice: Dice) -> Resource:
    """The AllergyIntolerance without patient, recorder and id."""
    reaction = dice.pick(allergen.reactions)
    is_grave = reaction.startswith(("Anaphylaxis", "Wheezing"))
    return {
        "resourceType": "AllergyIntolerance",
        "clinicalStatus": hl7("allergyintolerance-clinical", "active", "Active"),
        "verificationStatus": hl7("allergyintolerance-verification", "confirmed", "Confirmed"),
        "type": "allergy",
        "category": [allergen.category],
        "criticality": "high" if is_grave else "low",
        "code": concept(ICD10CM, allergen.code, allergen.display, allergen.text),
        "recordedDate": recorded.isoformat(),
        "reaction": [
            {
                "manifestation": [{"text": reaction}],
                "severity": "severe" if is_grave else dice.pick(("mild", "moderate")),
            }
        ],
    }
