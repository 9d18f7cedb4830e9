"""Findings and the OperationOutcome that carries them.

https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fhirserver.errors import FhirError
from fhirserver.model.json import Resource

Severity: TypeAlias = Literal["fatal", "error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding: `code` from issue-type, `expression` a FHIRPath place ('' if none)."""

    severity: Severity
    code: str
    expression: str
    text: str

    @property
    def is_error(self) -> bool:
        return self.severity in ("fatal", "error")


def operation_outcome(issues: Iterable[Issue]) -> Resource:
    """The OperationOutcome of some findings; of none, one that says that all is well."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [_issue(issue) for issue in issues]
        or [_issue(Issue("information", "informational", "", "All is well."))],
    }


def issues_of(error: FhirError) -> tuple[Issue, ...]:
    """The findings that a refusal tells."""
    return error.issues or (Issue("error", error.code, error.expression or "", error.text),)


def _issue(issue: Issue) -> Resource:
    out: Resource = {
        "severity": issue.severity,
        "code": issue.code,
        "details": {"text": issue.text},
        "diagnostics": issue.text,
    }
    if issue.expression:
        out["expression"] = [issue.expression]
    return out
