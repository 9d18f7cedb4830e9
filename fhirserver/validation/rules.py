"""The rules that are told in words, not in definitions: which module checks what.

A row is one function; it sees values of sound structure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhirserver.validation.attachment import attachment
from fhirserver.validation.bundle import bundle
from fhirserver.validation.definition import code_system
from fhirserver.validation.finding import Check
from fhirserver.validation.narrative import narrative
from fhirserver.validation.quantity import quantity
from fhirserver.validation.questionnaire import questionnaire, questionnaire_response

ELEMENT_RULES: Final[Mapping[str, Check]] = {"Narrative.div": narrative}
"""By the path of an element."""

TYPE_RULES: Final[Mapping[str, Check]] = {
    "Attachment": attachment,
    "Age": quantity,
    "Count": quantity,
    "Distance": quantity,
    "Duration": quantity,
    "Quantity": quantity,
}
"""By the name of a type."""

RESOURCE_RULES: Final[Mapping[str, tuple[Check, ...]]] = {
    "Bundle": (bundle,),
    "CodeSystem": (code_system,),
    "Questionnaire": (questionnaire,),
    "QuestionnaireResponse": (questionnaire_response,),
}
"""By resource type; they run on resources without errors so far."""
