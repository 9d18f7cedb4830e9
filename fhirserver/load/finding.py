"""What a load could not take, and why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fhirserver.model.json import Resource
from fhirserver.model.outcome import Issue


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file (`position` None), or the entry or line of it that starts at `position` (from 0).

    `resource` is `[type]/[id]` or the type, where known; `status` the HTTP status of the answer.
    """

    path: Path
    position: int | None
    resource: str | None
    text: str
    status: int | None = None
    issues: tuple[Issue, ...] = ()

    def as_json(self) -> Resource:
        """A line of the report."""
        out: Resource = {"file": str(self.path)}
        if self.position is not None:
            out["position"] = self.position
        if self.resource is not None:
            out["resource"] = self.resource
        if self.status is not None:
            out["status"] = self.status
        out["text"] = self.text
        if self.issues:
            out["issue"] = [
                {
                    "severity": issue.severity,
                    "code": issue.code,
                    "expression": issue.expression,
                    "text": issue.text,
                }
                for issue in self.issues
            ]
        return out
