"""When care took place, by type: the search parameter that tells it.

For `start` and `end` of $everything, which are about care and not about records. A type that
is not here has no such date, and is in every range.
"""

from __future__ import annotations

from typing import Final

from fhirserver.search.expression import And, DateIs, Expression, Missing, Not, Or, TypeIs

CARE_DATES: Final = {
    "AdverseEvent": "date",
    "AllergyIntolerance": "date",
    "Appointment": "date",
    "AuditEvent": "date",
    "Basic": "created",
    "CarePlan": "date",
    "CareTeam": "date",
    "ChargeItem": "occurrence",
    "Claim": "created",
    "ClaimResponse": "created",
    "ClinicalImpression": "date",
    "Communication": "sent",
    "CommunicationRequest": "occurrence",
    "Composition": "date",
    "Condition": "onset-date",
    "Consent": "date",
    "CoverageEligibilityRequest": "created",
    "CoverageEligibilityResponse": "created",
    "DetectedIssue": "identified",
    "DiagnosticReport": "date",
    "DocumentManifest": "created",
    "DocumentReference": "date",
    "Encounter": "date",
    "EpisodeOfCare": "date",
    "ExplanationOfBenefit": "created",
    "FamilyMemberHistory": "date",
    "Goal": "start-date",
    "ImagingStudy": "started",
    "Immunization": "date",
    "ImmunizationEvaluation": "date",
    "ImmunizationRecommendation": "date",
    "Invoice": "date",
    "List": "date",
    "MeasureReport": "date",
    "Media": "created",
    "MedicationAdministration": "effective-time",
    "MedicationDispense": "whenhandedover",
    "MedicationRequest": "authoredon",
    "MedicationStatement": "effective",
    "NutritionOrder": "datetime",
    "Observation": "date",
    "Procedure": "date",
    "Provenance": "recorded",
    "QuestionnaireResponse": "authored",
    "RequestGroup": "authored",
    "RiskAssessment": "date",
    "ServiceRequest": "authored",
    "Specimen": "collected",
    "SupplyRequest": "date",
    "VisionPrescription": "datewritten",
}


def in_range(start: int | None, end: int | None) -> Expression | None:
    """What took place, at least in part, in [start, end) (microseconds); None for always.

    What has no date is in every range.
    """
    if start is None and end is None:
        return None
    by_code: dict[str, list[str]] = {}
    for type, code in CARE_DATES.items():
        by_code.setdefault(code, []).append(type)
    parts: list[Expression] = [Not(TypeIs(tuple(CARE_DATES)))]
    for code, types in by_code.items():
        within: list[Expression] = []
        if start is not None:
            within.append(DateIs(code, "gt", start, start))
        if end is not None:
            within.append(DateIs(code, "lt", end, end))
        dated = Or((Missing(code, "date", missing=True), And(tuple(within))))
        parts.append(And((TypeIs(tuple(types)), dated)))
    return Or(tuple(parts))
