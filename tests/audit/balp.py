"""What profiles of IHE BALP 1.1 ask of an AuditEvent, as a table: codes, agents and entities.

https://profiles.ihe.net/ITI/BALP/artifacts.html. `problems` holds an event against a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fhirserver.model.json import Resource

DCM = "http://dicom.nema.org/resources/ontology/DCM"
REST = "http://hl7.org/fhir/restful-interaction"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
PERSON = "http://terminology.hl7.org/CodeSystem/audit-entity-type|1"
OBJECT = "http://terminology.hl7.org/CodeSystem/audit-entity-type|2"
REST_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type|rest"
REQUEST = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType|XrequestId"
AGENT_TYPES = "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes"
ROLE = "http://terminology.hl7.org/CodeSystem/object-role"


@dataclass(frozen=True)
class Slice:
    """An agent or entity by one of its `types` (system|code); `has` and `lacks` are elements."""

    name: str
    types: tuple[str, ...]
    least: int
    most: int | None
    has: tuple[str, ...] = ("who",)
    lacks: tuple[str, ...] = ()
    requestor: bool | None = None
    is_source: bool = False
    role: str | None = None


@dataclass(frozen=True)
class Profile:
    """One profile; `only` its entities are allowed where it is closed."""

    name: str
    type: str
    subtypes: tuple[str, ...]
    action: str
    agents: tuple[Slice, ...]
    entities: tuple[Slice, ...]
    fewest_entities: int = 1
    closed: bool = False


_AUTHORS = tuple(f"{PARTICIPATION}|{code}" for code in ("AUT", "INF", "CST"))
_TRANSACTION = Slice("transaction", (REQUEST,), 0, 1, ("what",))
_DATA = Slice("data", (OBJECT,), 1, 1, ("what",), role="4")
_PATIENT = Slice("patient", (PERSON,), 1, 1, ("what",), role="1")
_QUERY = Slice("query", (OBJECT,), 1, 1, ("query",), ("what", "detail"), role="24")


def _parties(client: str, server: str, users: tuple[str, ...]) -> tuple[Slice, ...]:
    return (
        Slice("client", (client,), 1, 1, ("who", "network")),
        Slice("server", (server,), 1, 1, ("who", "network")),
        Slice("user", users, 0, 1, ("who",), ("network",), requestor=True),
    )


_WRITING = _parties(f"{DCM}|110153", f"{DCM}|110152", _AUTHORS)
_READING = _parties(f"{DCM}|110152", f"{DCM}|110153", (f"{PARTICIPATION}|IRCP",))
_QUERYING = _parties(f"{DCM}|110153", f"{DCM}|110152", (f"{PARTICIPATION}|IRCP",))
_DELETING = _parties(
    f"{DCM}|110150",
    "http://terminology.hl7.org/CodeSystem/provenance-participant-type|custodian",
    _AUTHORS,
)


def _rest(name: str, action: str, codes: str, agents: tuple[Slice, ...], data: Slice) -> Profile:
    subtypes = tuple(f"{REST}|{code}" for code in codes.split())
    return Profile(name, REST_TYPE, subtypes, action, agents, (_TRANSACTION, data))


def _of_patient(profile: Profile) -> Profile:
    entities = (*profile.entities, _PATIENT)
    return Profile(
        f"Patient{profile.name}", profile.type, profile.subtypes, profile.action, profile.agents,
        entities, 2,
    )  # fmt: skip


_PLAIN = (
    _rest("Create", "C", "create", _WRITING, _DATA),
    _rest("Read", "R", "read vread", _READING, _DATA),
    _rest("Update", "U", "update patch", _WRITING, _DATA),
    _rest("Delete", "D", "delete", _DELETING, _DATA),
    _rest("Query", "E", "search search-type search-system", _QUERYING, _QUERY),
)
_BARE = ("role", "altId", "name", "location", "media")
PROFILES = {item.name: item for item in (*_PLAIN, *map(_of_patient, _PLAIN))} | {
    "AuthZconsent": Profile(
        "AuthZconsent",
        f"{DCM}|110113",
        tuple(
            f"https://profiles.ihe.net/ITI/BALP/CodeSystem/AuthZsubType|{code}"
            for code in ("AuthZ-Consent", "AuthZ-Role")
        ),
        "E",
        (
            Slice("client", (f"{DCM}|110150",), 1, 1, ("who", "network"), (*_BARE, "purposeOfUse")),
            Slice(
                "user",
                (f"{PARTICIPATION}|IRCP",),
                1,
                1,
                ("who",),
                ("altId", "location", "media", "network"),
                requestor=True,
            ),
            Slice(
                "userorg",
                ("http://terminology.hl7.org/CodeSystem/v3-RoleClass|PROV",),
                1,
                1,
                ("who",),
                (*_BARE, "policy", "network"),
                requestor=False,
            ),
            Slice(
                "authorizer",
                ("http://terminology.hl7.org/CodeSystem/extra-security-role-type|authserver",),
                1,
                1,
                ("who",),
                (*_BARE, "policy", "network", "purposeOfUse"),
                requestor=False,
                is_source=True,
            ),
        ),
        (
            _PATIENT,
            Slice("consent", ("http://hl7.org/fhir/resource-types|Consent",), 1, None, ("what",)),
            Slice("token", (f"{AGENT_TYPES}|UserOauthAgent",), 0, 1, ("what",)),
        ),
        2,
        closed=True,
    ),
    "PrivacyDisclosure.Source": Profile(
        "PrivacyDisclosure.Source",
        f"{DCM}|110106",
        ("http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle|disclose",),
        "R",
        (
            Slice("source", (f"{DCM}|110153",), 1, 1, ("who", "network"), is_source=True),
            Slice("recipient", (f"{DCM}|110152",), 1, 1, ("who", "network")),
            Slice("authorizer", ("http://snomed.info/sct|429577009",), 0, 1),
        ),
        (_PATIENT,),
        2,
    ),
}


def problems(event: Resource, profile: Profile) -> list[str]:
    """What an event lacks to be of a profile, in words."""
    found = []
    if _code(event["type"]) != profile.type:
        found.append(f"type {_code(event['type'])}")
    if not any(_code(item) in profile.subtypes for item in event["subtype"]):
        found.append("subtype")
    if event.get("action") != profile.action or "outcome" not in event:
        found.append("action or outcome")
    observer = event["source"]["observer"]
    agents = [({_code(one) for one in item["type"]["coding"]}, item) for item in event["agent"]]
    entities = [({_code(item["type"])}, item) for item in _entities(event)]
    for one in profile.agents:
        found += _of_slice(one, agents, observer)
    for one in profile.entities:
        found += _of_slice(one, entities, observer)
    if len(entities) < profile.fewest_entities:
        found.append("too few entities")
    known = {type for one in profile.entities for type in one.types}
    if profile.closed and not all(types & known for types, _ in entities):
        found.append("another entity than the profile has")
    return found


def _of_slice(
    one: Slice, nodes: Sequence[tuple[set[str], Resource]], observer: Resource
) -> list[str]:
    mine = [
        node
        for types, node in nodes
        if types.intersection(one.types) and (one.role is None or node["role"]["code"] == one.role)
    ]
    found = []
    if len(mine) < one.least or (one.most is not None and len(mine) > one.most):
        found.append(f"{one.name}: {len(mine)} of them")
    for node in mine:
        found += [f"{one.name}: no {name}" for name in one.has if name not in node]
        found += [f"{one.name}: has {name}" for name in one.lacks if name in node]
        if one.requestor is not None and node["requestor"] is not one.requestor:
            found.append(f"{one.name}: requestor")
        if one.is_source and node["who"] != observer:
            found.append(f"{one.name}: is not the source")
    return found


def _entities(event: Resource) -> list[Resource]:
    found: list[Resource] = event.get("entity", [])
    return found


def _code(coding: Resource) -> str:
    return f"{coding.get('system')}|{coding.get('code')}"
