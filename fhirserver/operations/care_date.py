"""When care took place, by type: the search parameter that tells it.

For `start` and `end` of $everything, which are about care and not about records. A type that
is not here has no such date, and is in every range.
"""

from __future__ import annotations

from typing import Final

from fhirserver.search.expression import EVERYTHING, And, DateIs, Expression, Missing, Or

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


def in_range(type: str, start: int | None, end: int | None) -> Expression:
    """What of a type took place, at least in part, in [start, end) (microseconds).

    What has no date is in every range.
    """
    code = CARE_DATES.get(type)
    if code is None or (start is None and end is None):
        return EVERYTHING
    within: list[Expression] = []
    if start is not None:
        within.append(DateIs(code, "gt", start, start))
    if end is not None:
        within.append(DateIs(code, "lt", end, end))
    return Or((Missing(code, "date", missing=True), And(tuple(within))))
