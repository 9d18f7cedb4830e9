"""What of a request a user could agree to: within the client's ceiling, within the roles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fhirserver.access.policy import Policies
from fhirserver.access.scope import ResourceScope, Scope, parse_scopes
from fhirserver.auth.authorization_request import AuthorizationRequest
from fhirserver.auth.choices import Everything
from fhirserver.auth.client import Client
from fhirserver.auth.granting import ceiling_of, within_ceiling, within_role
from fhirserver.definitions.registry import Definitions

_WITH_RECORD: Final = frozenset(
    {"Location", "Medication", "Organization", "Patient", "Practitioner", "PractitionerRole"}
)
"""What a patient's record refers to without being in the patient's compartment."""


def possible(
    request: AuthorizationRequest,
    client: Client,
    roles: Iterable[str],
    policies: Policies,
    patient: str | None,
) -> tuple[Scope, ...]:
    """The scopes that a user of these roles could grant. Without a patient none of `patient/`."""
    asked = request.wanted
    if client.scopes:
        asked = within_ceiling(asked, parse_scopes(client.scopes))
    found = within_role(asked, _ceiling(roles, policies))
    if patient is None:
        found = tuple(scope for scope in found if not _is_of_patient(scope))
    return found


def has_use(scopes: Iterable[Scope]) -> bool:
    """Whether scopes allow anything: seeing records, or knowing who the user is."""
    return any(isinstance(scope, ResourceScope) or str(scope) == "openid" for scope in scopes)


def everything_of(roles: Iterable[str], policies: Policies, definitions: Definitions) -> Everything:
    """What `*` means to a user of these roles."""
    letters = {scope.type: scope.letters for scope in _ceiling(roles, policies)}
    compartment = definitions.compartment("Patient")
    members = set(compartment.members) if compartment else set()
    of_patient = {type: found for type, found in letters.items() if type in members | _WITH_RECORD}
    return {"patient": of_patient, "user": letters}


def _ceiling(roles: Iterable[str], policies: Policies) -> tuple[ResourceScope, ...]:
    return ceiling_of(policies.roles[role] for role in roles if role in policies.roles)


def _is_of_patient(scope: Scope) -> bool:
    return isinstance(scope, ResourceScope) and scope.level == "patient"
