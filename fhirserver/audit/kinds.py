"""What is recorded beside the interactions of the FHIR base, and how an AuditEvent says it.

Types and subtypes are DICOM's (https://dicom.nema.org/medical/dicom/current/output/chtml/part16/
sect_CID_400.html, CID 401) where it has one, else IHE BALP's, else ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
BALP_ENTITY: Final = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
BALP_AGENT: Final = "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes"
BALP_AUTHZ: Final = "https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType"
OWN: Final = "urn:fhirserver:CodeSystem:audit-subtype"
EVENT_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-event-type"
ISO_LIFECYCLE: Final = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"

Action: TypeAlias = Literal["C", "R", "U", "D", "E"]


class Code(NamedTuple):
    system: str
    code: str
    display: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A row: the code that callers name, and type, subtype and action of its AuditEvents."""

    code: str
    type: Code
    subtype: Code
    action: Action


_AUTHENTICATION = Code(DCM, "110114", "User Authentication")
_ALERT = Code(DCM, "110113", "Security Alert")
_ACTIVITY = Code(DCM, "110100", "Application Activity")
_EXPORT = Code(DCM, "110106", "Export")
_IMPORT = Code(DCM, "110107", "Import")
_LOG_USED = Code(DCM, "110101", "Audit Log Used")
_USER_ATTRIBUTES = Code(DCM, "110137", "User Security Attributes Changed")
_ROLES = Code(DCM, "110136", "Security Roles Changed")
_CONFIGURATION = Code(DCM, "110129", "Security Configuration")


def _own(code: str, display: str) -> Code:
    return Code(OWN, code, display)


_ROWS = (
    # signing in and out
    Kind("sign-in", _AUTHENTICATION, Code(DCM, "110122", "Login"), "E"),
    Kind("sign-out", _AUTHENTICATION, Code(DCM, "110123", "Logout"), "E"),
    Kind("second-factor", _AUTHENTICATION, _own("second-factor", "Second factor asked"), "E"),
    Kind("session-locked", _AUTHENTICATION, _own("session-locked", "Session locked"), "E"),
    Kind("reauthentication", _AUTHENTICATION, _own("reauthentication", "Signed in anew"), "E"),
    Kind("lockout", _ALERT, _own("lockout", "Account locked"), "E"),
    # accounts
    Kind("account-created", _ALERT, _own("account-created", "Account created"), "C"),
    Kind("account-changed", _ALERT, _USER_ATTRIBUTES, "U"),
    Kind("account-disabled", _ALERT, _own("account-disabled", "Account disabled"), "U"),
    Kind("password-changed", _ALERT, _own("password-changed", "Password changed"), "U"),
    Kind("second-factor-enrolled", _ALERT, _own("second-factor-enrolled", "Factor added"), "U"),
    Kind("second-factor-reset", _ALERT, _own("second-factor-reset", "Factor removed"), "U"),
    Kind("role-changed", _ALERT, _ROLES, "U"),
    # authorization
    Kind("grant-given", _ALERT, _own("grant-given", "Authorization given"), "C"),
    Kind("grant-denied", _ALERT, _own("grant-denied", "Authorization denied"), "E"),
    Kind("grant-revoked", _ALERT, _own("grant-revoked", "Authorization revoked"), "D"),
    Kind("token-issued", _AUTHENTICATION, _own("token-issued", "Token issued"), "C"),
    Kind("token-refreshed", _AUTHENTICATION, _own("token-refreshed", "Token refreshed"), "U"),
    Kind("token-reused", _ALERT, _own("token-reused", "Used token presented again"), "E"),
    Kind("token-revoked", _AUTHENTICATION, _own("token-revoked", "Token revoked"), "D"),
    Kind("client-registered", _ALERT, _own("client-registered", "Client registered"), "C"),
    Kind("client-changed", _ALERT, _own("client-changed", "Client changed"), "U"),
    Kind("client-removed", _ALERT, _own("client-removed", "Client removed"), "D"),
    Kind("peer-added", _ALERT, _own("peer-added", "DICOM peer added"), "C"),
    Kind("peer-changed", _ALERT, _own("peer-changed", "DICOM peer changed"), "U"),
    Kind("peer-removed", _ALERT, _own("peer-removed", "DICOM peer removed"), "D"),
    Kind("keys-changed", _ALERT, _own("keys-changed", "Keys changed"), "U"),
    # what apps keep
    Kind("app-state-read", _ACTIVITY, _own("app-state-read", "State of an app read"), "R"),
    Kind("app-state-changed", _ACTIVITY, _own("app-state-changed", "State of an app changed"), "U"),
    # decisions
    Kind(
        "consent-decision",
        _ALERT,
        Code(BALP_AUTHZ, "AuthZ-Consent", "Authorization Decision using Roles and Consent"),
        "E",
    ),
    Kind("emergency-started", _ALERT, Code(DCM, "110127", "Emergency Override Started"), "E"),
    Kind("emergency-stopped", _ALERT, Code(DCM, "110138", "Emergency Override Stopped"), "E"),
    Kind("limit-exceeded", _ALERT, _own("limit-exceeded", "Rate limit exceeded"), "E"),
    # the server
    Kind("configuration", _ALERT, _CONFIGURATION, "U"),
    Kind("tenant-changed", _ALERT, _own("tenant-changed", "Tenant changed"), "U"),
    Kind("start", _ACTIVITY, Code(DCM, "110120", "Application Start"), "E"),
    Kind("stop", _ACTIVITY, Code(DCM, "110121", "Application Stop"), "E"),
    Kind("export", _EXPORT, _own("export", "Export"), "R"),
    Kind("disclosure", _EXPORT, Code(ISO_LIFECYCLE, "disclose", "Disclose"), "R"),
    Kind("import", _IMPORT, _own("import", "Import"), "C"),
    Kind("backup", _EXPORT, _own("backup", "Backup"), "R"),
    Kind("restore", _IMPORT, _own("restore", "Restore"), "C"),
    Kind("audit-verified", _LOG_USED, _own("audit-verified", "Audit trail verified"), "R"),
    Kind("who-saw", _LOG_USED, _own("who-saw", "Accesses to a record listed"), "R"),
)
KINDS: Final = {row.code: row for row in _ROWS}
"""The rows by code. A new kind of event is a row more."""
