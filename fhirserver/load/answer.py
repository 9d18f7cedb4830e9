"""What a server's answer says was refused.

https://hl7.org/fhir/R4/http.html#transaction-response
"""

from __future__ import annotations

from fhirserver.errors import FhirError
from fhirserver.load.target import Denied
from fhirserver.model.json import Json, decode
from fhirserver.model.outcome import Issue

_BAD = 400


def denied_entries(body: bytes) -> list[Denied]:
    """The entries of a batch-response that failed."""
    bundle = decode(body)
    entries = bundle.get("entry", []) if isinstance(bundle, dict) else []
    out = []
    for index, entry in enumerate(entries):
        response = entry.get("response", {})
        status = int(str(response.get("status", "500"))[:3])
        if status >= _BAD:
            issues = _issues(response.get("outcome"))
            out.append(Denied(index, status, _text(issues, status), issues))
    return out


def denied_whole(status: int, body: bytes) -> Denied:
    """The refusal of a whole request; its body is an OperationOutcome if the server is FHIR."""
    try:
        issues = _issues(decode(body))
    except FhirError:
        issues = ()
    return Denied(None, status, _text(issues, status), issues)


def _issues(outcome: Json) -> tuple[Issue, ...]:
    if not isinstance(outcome, dict):
        return ()
    return tuple(
        Issue(
            issue.get("severity", "error"),
            issue.get("code", "processing"),
            ", ".join(issue.get("expression", ())),
            issue.get("details", {}).get("text") or issue.get("diagnostics", ""),
        )
        for issue in outcome.get("issue", ())
    )


def _text(issues: tuple[Issue, ...], status: int) -> str:
    errors = [issue for issue in issues if issue.is_error]
    return errors[0].text if errors else f"The server answered {status}."
