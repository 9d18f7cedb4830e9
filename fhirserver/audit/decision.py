"""Decisions by consents, and disclosures: events beside that of the access itself.

IHE BALP (https://profiles.ihe.net/ITI/BALP/): AuthZconsent, PrivacyDisclosure.Source. The first
leaves no place for the id of the request but the text of the outcome.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fhirserver.audit.agents import JTI, Caller, decision_agents, disclosure_agents
from fhirserver.audit.event import (
    CLASS_ENTITY,
    PATIENT_ENTITY,
    REQUEST_ENTITY,
    RESOURCE_TYPES,
    happened,
    opening,
    purposes,
)
from fhirserver.audit.kinds import BALP_AGENT, KINDS, Code
from fhirserver.audit.recorder import SERIOUS, SUCCESS, Outcome
from fhirserver.model.json import encode

_DECISION: Final = KINDS["consent-decision"]
_DISCLOSURE: Final = KINDS["disclosure"]
_TREATMENT: Final = ("TREAT",)
_TEXTS: Final = {
    "permit": "The patient's consent permits it",
    "part": "The patient's consent permits a part of it",
    "deny": "The patient's consent withholds it",
}


@dataclass(frozen=True, slots=True)
class ConsentDecision:
    """What the consents (ids) of a patient said of what a caller asked.

    `says` is permit, part (what is denied of it depends on the resource) or deny.
    """

    caller: Caller
    patient: str
    consents: tuple[str, ...]
    says: str
    request_id: str = ""
    organization: str | None = None


@dataclass(frozen=True, slots=True)
class Disclosure:
    """That an app got data of a patient by an authorization; `classes` are types, with how many.

    It stands for what the app gets by that authorization from then on.
    """

    caller: Caller
    patient: str
    classes: tuple[tuple[str, int], ...]
    request_id: str = ""


def decision_content(decision: ConsentDecision, now: int) -> bytes:
    """The event of a decision at `now` (microseconds since 1970)."""
    principal = decision.caller.principal
    entities = [PATIENT_ENTITY % decision.patient.encode()]
    entities += [_CONSENT % id.encode() for id in decision.consents]
    if principal is not None and principal.authorization is not None:
        entities.append(_TOKEN % encode(f"{JTI}{principal.authorization}"))
    reason = _TEXTS[decision.says]
    if decision.request_id:
        reason += f" (request {decision.request_id})"
    parts = (
        opening(_DECISION.type, _codes(_DECISION.subtype), _DECISION.action),
        happened(now // 1000, _outcome(decision), reason),
        purposes(_TREATMENT),
        _deciding(decision),
        b',"entity":[%s]}' % b",".join(entities),
    )
    return b"".join(parts)


def disclosure_content(disclosure: Disclosure, now: int) -> bytes:
    """The event of a disclosure at `now` (microseconds since 1970)."""
    entities = []
    if disclosure.request_id:
        entities.append(REQUEST_ENTITY % encode(disclosure.request_id))
    entities.append(PATIENT_ENTITY % disclosure.patient.encode())
    entities += [CLASS_ENTITY % (name.encode(), count) for name, count in disclosure.classes]
    parts = (
        opening(_DISCLOSURE.type, _codes(_DISCLOSURE.subtype), _DISCLOSURE.action),
        happened(now // 1000, SUCCESS, ""),
        disclosure_agents(disclosure.caller),
        b',"entity":[%s]}' % b",".join(entities),
    )
    return b"".join(parts)


def _deciding(decision: ConsentDecision) -> bytes:
    return decision_agents(decision.caller, decision.organization)


def _outcome(decision: ConsentDecision) -> Outcome:
    return SERIOUS if decision.says == "deny" else SUCCESS


def _codes(code: Code) -> tuple[tuple[str, str], ...]:
    return ((code.system, code.code),)


_CONSENT: Final = b'{"what":{"reference":"Consent/%%s"},"type":%s}' % encode(
    {"system": RESOURCE_TYPES, "code": "Consent"}
)
_TOKEN: Final = b'{"what":{"identifier":{"value":%%s}},"type":%s}' % encode(
    {"system": BALP_AGENT, "code": "UserOauthAgent"}
)
