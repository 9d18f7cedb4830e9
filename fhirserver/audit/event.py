"""AuditEvents as bytes with their index entries, put together without encoding what is known.

https://hl7.org/fhir/R4/auditevent.html, by the patterns of IHE BALP
(https://profiles.ihe.net/ITI/BALP/content.html). Entries are those that an `Indexer` finds by
the parameters of `KEPT`; a test holds them to it.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from fhirserver.audit.agents import REASON, Agents, Caller, agents
from fhirserver.audit.kinds import BALP_ENTITY, EVENT_TYPE, KINDS, OWN, Action, Code
from fhirserver.audit.recorder import SUCCESS, Event, Outcome
from fhirserver.model.json import encode
from fhirserver.model.reference import literal
from fhirserver.model.temporal import format_instant
from fhirserver.search.entry import Date, Entries, Entry, Reference, Token

KEPT: Final = frozenset({"agent", "date", "entity", "outcome", "patient", "subtype"})
"""The search parameters of R4 for AuditEvents that there are index entries of."""

THING: Final = "urn:fhirserver:thing"
"""The system of identifiers of what is the server's own and no resource."""

_REST: Final = Code(EVENT_TYPE, "rest", "")
_LOG_USED: Final = KINDS["audit-verified"].type
_INTERACTION: Final = "http://hl7.org/fhir/restful-interaction"
_ENTITY_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
_TYPES: Final = "http://hl7.org/fhir/resource-types"


_Codes: TypeAlias = tuple[tuple[str, str], ...]


class Made(NamedTuple):
    """The content of an event, as `audit.chain` has it, and its index entries."""

    content: bytes
    entries: Entries


@dataclass(slots=True)
class Access:
    """An interaction as it is recorded, about one patient or none.

    `subtype` is a code of http://hl7.org/fhir/restful-interaction, `operation` that of an
    operation (`$everything`). `data` is the type, id and version (0: not known) of the resource
    that it was about, `query` the raw request of a search. `classes` are the types of what was
    disclosed about the patient, each with how many.
    """

    subtype: str
    action: Action
    caller: Caller
    request_id: str = ""
    outcome: Outcome = SUCCESS
    reason: str = ""
    operation: str = ""
    data: tuple[str, str, int] | None = None
    query: bytes | None = None
    patient: str | None = None
    classes: tuple[tuple[str, int], ...] = ()
    reads_log: bool = False


def access_content(access: Access, now: int) -> Made:
    """The event of an interaction at `now` (microseconds since 1970)."""
    who = agents(access.caller, access.action)
    subtypes: _Codes = ((_INTERACTION, access.subtype),)
    if access.operation:
        subtypes = (*subtypes, (OWN, access.operation))
    type_ = _LOG_USED if access.reads_log else _REST
    parts = [_opening(type_, subtypes, access.action)]
    parts.append(_happened(now, access.outcome, access.reason))
    parts.append(who.json)
    entities, targets = _entities(access)
    entries = _entries(now, access.outcome, subtypes, who)
    if access.request_id:
        entities.insert(0, _request_entity(access.request_id))
        entries["entity:identifier"] = (Token("", access.request_id),)
    parts.append(b',"entity":[' + b",".join(entities) + b"]}" if entities else b"}")
    _add_targets(entries, targets)
    _add_patients(entries, targets, who)
    return Made(b"".join(parts), entries)


def _entities(access: Access) -> tuple[list[bytes], list[Entry]]:
    """The entities but that of the request, and the resources that they name."""
    entities: list[bytes] = []
    targets: list[Entry] = []
    if access.data is not None:
        type, id, version = access.data
        # BALP: a write names the version that it made; one that was read stands beside.
        names = access.action in ("C", "U") and version > 0
        reference = f"{type}/{id}/_history/{version}" if names else f"{type}/{id}"
        targets.append(Reference(type, id))
        if names:
            targets.append(Reference(type, f"{id}/_history/{version}"))
        about = b""
        if version and access.action == "R":
            about = b',"detail":[{"type":"version","valueString":"%d"}]' % version
        entities.append(_DATA % (reference.encode(), about))
    if access.query is not None:
        entities.append(_QUERY % b64encode(access.query))
    if access.patient is not None:
        entities.append(_PATIENT % access.patient.encode())
        targets.append(Reference("Patient", access.patient))
    for name, count in access.classes:
        entities.append(_CLASS % (name.encode(), count))
    return entities, targets


def event_content(event: Event, now: int) -> Made:
    """What was recorded of anything else, at `now`. Raises `KeyError` for an unknown kind."""
    kind = KINDS[event.kind]
    purposes = event.purposes
    caller = Caller.of(event.principal, event.origin, event.account, purposes)
    who = agents(caller, kind.action)
    subtypes = ((kind.subtype.system, kind.subtype.code),)
    parts = [_opening(kind.type, subtypes, kind.action)]
    parts.append(_happened(now, event.outcome, event.reason))
    if purposes:
        codings = [{"coding": [{"system": REASON, "code": code}]} for code in purposes]
        parts.append(b',"purposeOfEvent":' + encode(codings))
    parts.append(who.json)
    entities, identifiers, targets = _about(event)
    entries = _entries(now, event.outcome, subtypes, who)
    parts.append(b',"entity":[' + b",".join(entities) + b"]}" if entities else b"}")
    if identifiers:
        entries["entity:identifier"] = tuple(dict.fromkeys(identifiers))
    _add_targets(entries, targets)
    _add_patients(entries, targets, who)
    return Made(b"".join(parts), entries)


def _about(event: Event) -> tuple[list[bytes], list[Entry], list[Entry]]:
    """The entities of an event, their identifiers, and the resources that they name."""
    entities: list[bytes] = []
    identifiers: list[Entry] = []
    targets: list[Entry] = []
    if event.origin.request_id:
        entities.append(_request_entity(event.origin.request_id))
        identifiers.append(Token("", event.origin.request_id))
    for item in event.about:
        target = literal(item)
        if target is None or target.base:
            identifier = {"identifier": {"system": THING, "value": item}}
            entities.append(b'{"what":' + encode(identifier) + b',"type":%s}' % _SYSTEM_OBJECT)
            identifiers.append(Token(THING, item))
        else:
            what = encode({"reference": f"{target.type}/{target.id}"})
            kind = encode({"system": _TYPES, "code": target.type})
            entities.append(b'{"what":' + what + b',"type":' + kind + b"}")
            targets.append(Reference(target.type, target.id))
    if event.patient is not None:
        entities.append(_PATIENT % event.patient.encode())
        targets.append(Reference("Patient", event.patient))
    if event.detail:
        told = [{"type": name, "valueString": value} for name, value in event.detail]
        kind = encode({"system": _ENTITY_TYPE, "code": "4"})
        entities.append(b'{"type":' + kind + b',"detail":' + encode(told) + b"}")
    return entities, identifiers, targets


def _entries(
    now: int, outcome: Outcome, subtypes: _Codes, who: Agents
) -> dict[str, tuple[Entry, ...]]:
    start = now - now % 1000
    entries: dict[str, tuple[Entry, ...]] = {
        "date": (Date(start, start + 1000),),
        "outcome": (_outcome(outcome),),
        "subtype": _tokens(subtypes),
        "agent:identifier": who.identifier,
    }
    if who.agent:
        entries["agent"] = who.agent
    else:
        entries["agent:present"] = _PRESENT
    return entries


def _add_targets(entries: dict[str, tuple[Entry, ...]], targets: list[Entry]) -> None:
    if targets:
        entries["entity"] = tuple(dict.fromkeys(targets))
    elif "entity:identifier" in entries:
        entries["entity:present"] = _PRESENT


def _add_patients(entries: dict[str, tuple[Entry, ...]], targets: list[Entry], who: Agents) -> None:
    found = [item for item in targets if isinstance(item, Reference) and item.type == "Patient"]
    if found or who.patient:
        entries["patient"] = tuple(dict.fromkeys((*who.patient, *found)))


@lru_cache(maxsize=512)
def _opening(type: Code, subtypes: _Codes, action: str) -> bytes:
    kind = {"system": type.system, "code": type.code}
    codes = [{"system": system, "code": code} for system, code in subtypes]
    return (
        b',"type":' + encode(kind) + b',"subtype":' + encode(codes) + b',"action":' + encode(action)
    )


@lru_cache(maxsize=512)
def _tokens(subtypes: _Codes) -> tuple[Entry, ...]:
    return tuple(Token(system, code) for system, code in subtypes)


@lru_cache(maxsize=8)
def _outcome(outcome: Outcome) -> Token:
    return Token("", outcome)


def _happened(now: int, outcome: Outcome, reason: str) -> bytes:
    text = f',"recorded":"{format_instant(now)}","outcome":"{outcome}"'.encode()
    return text + b',"outcomeDesc":' + encode(reason) if reason else text


def _request_entity(request_id: str) -> bytes:
    return _REQUEST % encode(request_id)


_PRESENT: Final[tuple[Entry, ...]] = (Token("", ""),)
_SYSTEM_OBJECT: Final = encode({"system": _ENTITY_TYPE, "code": "2"})
_REQUEST: Final = b'{"what":{"identifier":{"value":%%s}},"type":%s}' % encode(
    {"system": BALP_ENTITY, "code": "XrequestId"}
)
_DATA: Final = b'{"what":{"reference":"%%s"},"type":%s,"role":%s%%s}' % (
    _SYSTEM_OBJECT,
    encode({"system": _ROLE, "code": "4"}),
)
_QUERY: Final = b'{"type":%s,"role":%s,"query":"%%s"}' % (
    _SYSTEM_OBJECT,
    encode({"system": _ROLE, "code": "24"}),
)
_PATIENT: Final = b'{"what":{"reference":"Patient/%%s"},"type":%s,"role":%s}' % (
    encode({"system": _ENTITY_TYPE, "code": "1"}),
    encode({"system": _ROLE, "code": "1"}),
)
_CLASS: Final = b'{"type":{"system":"%s","code":"%%s"},"detail":[%s]}' % (
    _TYPES.encode(),
    b'{"type":"count","valueString":"%d"}',
)
