"""Findings and the OperationOutcome that carries them.

https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from fhirserver.errors import FhirError
from fhirserver.model.json import Resource
from fhirserver.model.json_position import Position

_CORE: Final = "http://hl7.org/fhir/StructureDefinition/"
_MESSAGE_ID: Final = f"{_CORE}operationoutcome-message-id"
_LINE: Final = f"{_CORE}operationoutcome-issue-line"
_COLUMN: Final = f"{_CORE}operationoutcome-issue-col"

Severity: TypeAlias = Literal["fatal", "error", "warning", "information"]


class Detail(NamedTuple):
    """A finer code of a finding: of what system, which, and the id of the message."""

    system: str
    code: str
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding: `code` from issue-type, `expression` a FHIRPath place ('' if none).

    `position` is where that is in the text that was sent, if that is known.
    """

    severity: Severity
    code: str
    expression: str
    text: str
    detail: Detail | None = None
    position: Position | None = None

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


def position_extensions(position: Position) -> list[Resource]:
    """The extensions of an issue that tell its line and column.

    https://hl7.org/fhir/extensions/StructureDefinition-operationoutcome-issue-line.html
    """
    return [
        {"url": _LINE, "valueInteger": position.line},
        {"url": _COLUMN, "valueInteger": position.column},
    ]


def _issue(issue: Issue) -> Resource:
    if issue.detail is not None:
        return _detailed(issue, issue.detail)
    out: Resource = {}
    if issue.position is not None:
        out["extension"] = position_extensions(issue.position)
    out |= {
        "severity": issue.severity,
        "code": issue.code,
        "details": {"text": issue.text},
        "diagnostics": issue.text,
    }
    if issue.expression:
        out["expression"] = [issue.expression]
    return out


def _detailed(issue: Issue, detail: Detail) -> Resource:
    out: Resource = {}
    if detail.message_id is not None:
        out["extension"] = [{"url": _MESSAGE_ID, "valueString": detail.message_id}]
    coding = {"system": detail.system, "code": detail.code}
    out |= {
        "severity": issue.severity,
        "code": issue.code,
        "details": {"coding": [coding], "text": issue.text},
    }
    if issue.expression:
        out["expression"] = [issue.expression]
    return out
