"""Who took part in an event, as JSON that is made once for each caller and kept.

IHE BALP (https://profiles.ihe.net/ITI/BALP/): the client, this server and, where a user is
known, the user, with the authorization under which the client acted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from fhirserver.access.principal import Principal
from fhirserver.audit.kinds import BALP_AGENT, DCM
from fhirserver.audit.recorder import Origin
from fhirserver.model.json import encode
from fhirserver.model.reference import literal

ACCOUNT: Final = "urn:fhirserver:account"
CLIENT: Final = "urn:fhirserver:client"
TENANT: Final = "urn:fhirserver:tenant"
ROLE: Final = "urn:fhirserver:CodeSystem:role"
JTI: Final = "urn:ietf:params:oauth:jti:"
PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_CUSTODIAN: Final = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_OWN_PAGES: Final = "fhirserver"
_ANYBODY: Final = "anonymous"
_NAMELESS: Final = ("Patient/", "RelatedPerson/")

_ROLES: Final = {
    # action: (client, server, user), as BALP's profiles have them
    "C": ((DCM, "110153"), (DCM, "110152"), (PARTICIPATION, "AUT")),
    "U": ((DCM, "110153"), (DCM, "110152"), (PARTICIPATION, "AUT")),
    "R": ((DCM, "110152"), (DCM, "110153"), (PARTICIPATION, "IRCP")),
    "E": ((DCM, "110153"), (DCM, "110152"), (PARTICIPATION, "IRCP")),
    "D": ((DCM, "110150"), (_CUSTODIAN, "custodian"), (PARTICIPATION, "AUT")),
}


class Caller(NamedTuple):
    """Whom an event is about: who called, from where, and for what (codes of v3-ActReason)."""

    principal: Principal | None
    address: str
    server: str
    account: str | None = None
    purposes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        principal: Principal | None,
        origin: Origin,
        account: str | None = None,
        purposes: tuple[str, ...] = (),
    ) -> Caller:
        return cls(principal, origin.address, origin.server, account, purposes)


@lru_cache(maxsize=4096)
def agents(caller: Caller, action: str) -> bytes:
    """The agents of an event of that action as JSON, with what comes behind them."""
    principal = caller.principal
    as_client, as_server, as_user = _ROLES[action]
    client = principal.client if principal else None
    shown = client or (_OWN_PAGES if principal or caller.account else _ANYBODY)
    has_user = bool(caller.account) or (
        principal is not None and not principal.subject.startswith("client/")
    )
    found = [
        {
            "type": _concept(as_client),
            "who": {"identifier": {"system": CLIENT, "value": shown}},
            "requestor": not has_user,
            "network": _network(caller.address, "2"),
        },
        {
            "type": _concept(as_server),
            "who": _DEVICE,
            "name": _OWN_PAGES,
            "requestor": False,
            "network": _network(caller.server, "1"),
        },
    ]
    if has_user:
        found.append(_user(caller, as_user))
    return _agents(found)


@lru_cache(maxsize=1024)
def decision_agents(caller: Caller, organization: str | None) -> bytes:
    """The agents of a decision by consent (IHE BALP, AuthZconsent), asked for by the caller.

    `organization` is the user's, as a reference; where none is known, it is the tenant's own.
    """
    principal = caller.principal
    assert principal is not None
    client = principal.client or _OWN_PAGES
    user = _user(caller, (PARTICIPATION, "IRCP"))
    del user["altId"]
    found: list[dict[str, Any]] = [
        {
            "type": _concept((DCM, "110150")),
            "who": {"identifier": {"system": CLIENT, "value": client}},
            "requestor": False,
            "network": _network(caller.address, "2"),
        },
        user | {"type": _concept((PARTICIPATION, "IRCP"))},
    ]
    provider: dict[str, Any] = {"identifier": {"system": TENANT, "value": principal.tenant}}
    if organization is not None:
        provider = {"reference": organization}
    found.append({"type": _concept(_PROVIDER), "who": provider, "requestor": False})
    found.append({"type": _concept(_AUTHORIZER), "who": _DEVICE, "requestor": False})
    return _agents(found, _DEVICE)


@lru_cache(maxsize=1024)
def disclosure_agents(caller: Caller) -> bytes:
    """The agents of a disclosure (IHE BALP, PrivacyDisclosure.Source) to the caller's app.

    A patient who let the app in is who authorized it; a related person does it for the patient.
    """
    principal = caller.principal
    assert principal is not None and principal.client is not None
    has_user = not principal.subject.startswith("client/")
    found: list[dict[str, Any]] = [
        {
            "type": _concept((DCM, "110153")),
            "who": _DEVICE,
            "requestor": False,
            "network": _network(caller.server, "1"),
        },
        {
            "type": _concept((DCM, "110152")),
            "who": {"identifier": {"system": CLIENT, "value": principal.client}},
            "requestor": not has_user,
            "network": _network(caller.address, "2"),
        },
    ]
    if has_user:
        is_patients = (principal.fhir_user or "").startswith(_NAMELESS)
        found.append(_user(caller, _ADVOCATE if is_patients else (PARTICIPATION, "IRCP")))
    return _agents(found, _DEVICE)


def _agents(
    found: list[dict[str, Any]],
    observer: Mapping[str, str] = MappingProxyType({"display": "fhirserver"}),
) -> bytes:
    source = {"observer": dict(observer), "type": [_SOURCE]}
    return b',"agent":' + encode(found) + b',"source":' + encode(source)


def _user(caller: Caller, role: tuple[str, str]) -> dict[str, Any]:
    principal = caller.principal
    subject = principal.subject if principal else caller.account or ""
    kinds = [{"system": role[0], "code": role[1]}]
    if principal is not None and principal.authorization is not None:
        kinds.append({"system": BALP_AGENT, "code": "UserOauthAgent"})
    user: dict[str, Any] = {"type": {"coding": kinds}}
    if principal is not None and principal.roles:
        user["role"] = [{"coding": [{"system": ROLE, "code": item}]} for item in principal.roles]
    target = literal(principal.fhir_user) if principal and principal.fhir_user else None
    if target is not None and target.type and target.id:
        user["who"] = {"reference": f"{target.type}/{target.id}"}
    else:
        user["who"] = {"identifier": {"system": ACCOUNT, "value": subject}}
    user["altId"] = subject
    if principal and principal.name and not (principal.fhir_user or "").startswith(_NAMELESS):
        user["name"] = principal.name
    user["requestor"] = True
    if principal is not None and principal.authorization is not None:
        user["policy"] = [f"{JTI}{principal.authorization}"]
    if caller.purposes:
        codings = [{"coding": [{"system": REASON, "code": code}]} for code in caller.purposes]
        user["purposeOfUse"] = codings
    return user


def _concept(role: tuple[str, str]) -> dict[str, Any]:
    return {"coding": [{"system": role[0], "code": role[1]}]}


def _network(address: str, kind: str) -> dict[str, str]:
    if address:
        return {"address": address, "type": kind}
    return {"address": "urn:fhirserver:this-process", "type": "5"}


_DEVICE: Final = {"type": "Device"}
_PROVIDER: Final = ("http://terminology.hl7.org/CodeSystem/v3-RoleClass", "PROV")
_AUTHORIZER: Final = (
    "http://terminology.hl7.org/CodeSystem/extra-security-role-type",
    "authserver",
)
_ADVOCATE: Final = ("http://snomed.info/sct", "429577009")
_SOURCE = {"system": "http://terminology.hl7.org/CodeSystem/security-source-type", "code": "4"}
