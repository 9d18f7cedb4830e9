"""Words in which the consent screen speaks of the records, for people who know no FHIR."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from fhirserver.access.scope import ANY, Level


class Category(NamedTuple):
    """A part of the resources of a type, by the code of its `category`."""

    system: str
    code: str
    words: str

    @property
    def token(self) -> str:
        return f"{self.system}|{self.code}"


_OBSERVATION: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_CONDITION: Final = "http://terminology.hl7.org/CodeSystem/condition-category"
_US_CORE: Final = "http://hl7.org/fhir/us/core/CodeSystem"

CATEGORIES: Final = {
    "Condition": (
        Category(_CONDITION, "problem-list-item", "Long-standing problems"),
        Category(_CONDITION, "encounter-diagnosis", "Diagnoses made at visits"),
        Category(f"{_US_CORE}/condition-category", "health-concern", "Health concerns"),
    ),
    "Observation": (
        Category(_OBSERVATION, "vital-signs", "Vital signs, such as blood pressure"),
        Category(_OBSERVATION, "laboratory", "Laboratory results"),
        Category(_OBSERVATION, "social-history", "Social history, such as smoking"),
        Category(_OBSERVATION, "survey", "Questionnaires and assessments"),
        Category(_OBSERVATION, "imaging", "Measurements of images"),
        Category(_OBSERVATION, "procedure", "Findings of procedures"),
        Category(_OBSERVATION, "exam", "Findings of examinations"),
        Category(_OBSERVATION, "therapy", "Findings of therapies"),
        Category(_OBSERVATION, "activity", "Physical activity"),
        Category(f"{_US_CORE}/us-core-category", "sdoh", "Living conditions"),
    ),
}
"""The parts that can be granted apart from the rest of their type (US Core 7, "SMART scopes")."""

_TYPES: Final = {
    "AllergyIntolerance": "Allergies and intolerances",
    "Appointment": "Appointments",
    "AuditEvent": "Who looked at the record",
    "Basic": "Settings that apps keep",
    "Binary": "Files",
    "CarePlan": "Care plans",
    "CareTeam": "Care team",
    "Claim": "Claims to insurers",
    "Communication": "Messages",
    "Composition": "Clinical notes",
    "Condition": "Conditions and diagnoses",
    "Consent": "Consents",
    "Coverage": "Insurance",
    "Device": "Implants and devices",
    "DiagnosticReport": "Reports of laboratory, imaging and others",
    "DocumentReference": "Documents",
    "Encounter": "Visits and stays",
    "ExplanationOfBenefit": "Statements of insurers",
    "FamilyMemberHistory": "Illnesses in the family",
    "Goal": "Goals of treatment",
    "ImagingStudy": "Images, such as X-rays",
    "Immunization": "Vaccinations",
    "Location": "Places",
    "Medication": "Medicines",
    "MedicationAdministration": "Medicines given",
    "MedicationDispense": "Medicines handed out",
    "MedicationRequest": "Prescriptions",
    "MedicationStatement": "Medicines taken",
    "Observation": "Measurements and results",
    "Organization": "Hospitals and practices",
    "Patient": "Name, birthday, address and the like",
    "Practitioner": "Doctors, nurses and other staff",
    "PractitionerRole": "Roles of staff",
    "Procedure": "Procedures and operations",
    "Provenance": "Where entries come from",
    "QuestionnaireResponse": "Questionnaires filled in",
    "RelatedPerson": "Relatives and carers",
    "ServiceRequest": "Orders and referrals",
    "Specimen": "Samples",
    "Task": "Tasks",
}
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")

HEADINGS: Final[dict[tuple[Level, bool], str]] = {
    ("patient", True): "See, in the record of the patient who is chosen",
    ("patient", False): "Add to or change, in the record of the patient who is chosen",
    ("user", True): "See, of everything that you may see yourself",
    ("user", False): "Add to or change, of everything that you may change yourself",
}
"""Of a level of scopes: what is read (True), what is written."""

_DOES: Final = {"r": "open", "s": "search", "c": "add", "u": "change", "d": "delete"}


def type_words(type: str) -> str:
    """What entries of a type are, in plain words; the spelled-out type where there are none."""
    if type == ANY:
        return "Everything"
    return _TYPES.get(type) or _CAPITAL.sub(" ", type).capitalize()


def letters_words(letters: str) -> str:
    """What is done with them, where that is not all of seeing or all of changing: 'add only'."""
    if letters in ("rs", "cud"):
        return ""
    return f"{' and '.join(_DOES[mark] for mark in letters)} only"
