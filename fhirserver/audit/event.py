"""AuditEvents as bytes, put together without encoding what is known.

https://hl7.org/fhir/R4/auditevent.html, by the patterns of IHE BALP
(https://profiles.ihe.net/ITI/BALP/content.html).
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from fhirserver.access.break_glass import PURPOSE
from fhirserver.audit.agents import REASON, Caller, agents
from fhirserver.audit.imaging import ImagingEvent, StudyAccess, study_entities
from fhirserver.audit.kinds import BALP_ENTITY, EVENT_TYPE, KINDS, OWN, Action, Code
from fhirserver.audit.recorder import SUCCESS, Event, Outcome
from fhirserver.model.json import encode
from fhirserver.model.reference import ID, literal
from fhirserver.model.temporal import format_instant

EMERGENCY: Final = (OWN, "emergency-access")
"""Besides, the subtype of what was possible because of an emergency only: it can be searched."""

THING: Final = "urn:fhirserver:thing"
"""The system of identifiers of what is the server's own and no resource."""

_REST: Final = Code(EVENT_TYPE, "rest", "")
_LOG_USED: Final = KINDS["audit-verified"].type
_INTERACTION: Final = "http://hl7.org/fhir/restful-interaction"
_ENTITY_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
RESOURCE_TYPES: Final = "http://hl7.org/fhir/resource-types"


Codes: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Access:
    """An interaction as it is recorded, about one patient or none.

    `subtype` is a code of http://hl7.org/fhir/restful-interaction, `operation` that of an
    operation (`$everything`). `data` is the type, id and version (0: not known) of the resource
    that it was about, `query` the raw request of a search. `classes` are the types of what was
    disclosed about the patient, each with how many. `imaging` is the event of DICOM that it is
    instead, and `studies` are what it was about.
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
    imaging: ImagingEvent | None = None
    studies: tuple[StudyAccess, ...] = ()


def access_content(access: Access, now: int) -> bytes:
    """The content of an interaction's event at `now` (microseconds since 1970), as `audit.chain`
    has it."""
    who = agents(access.caller, access.action)
    parts = [
        opening(_type(access), _subtypes(access), access.action),
        happened(now // 1000, access.outcome, access.reason),
        purposes(access.caller.purposes),
        who,
    ]
    begun = len(parts)
    if access.request_id:
        parts += (b",", _REQUEST.before, encode(access.request_id), _REQUEST.behind)
    if access.data is not None:
        parts += (b",", *_data_entity(access, *access.data))
    if access.query is not None:
        parts += (b",", _QUERY % b64encode(access.query))
    if access.patient is not None:
        parts += (b",", _OF_PATIENT.before, access.patient.encode(), _OF_PATIENT.behind)
    for entity in study_entities(access.studies):
        parts += (b",", entity)
    for name, count in access.classes:
        parts += (b",", CLASS_ENTITY % (name.encode(), count))
    if len(parts) > begun:
        parts[begun] = b',"entity":['
        parts.append(b"]}")
    else:
        parts.append(b"}")
    return b"".join(parts)


def read_content(
    interaction: str,
    caller: Caller,
    request_id: str,
    data: tuple[str, str, int],
    patient: str | None,
    now: int,
) -> bytes:
    """What `access_content` makes of a read or vread that was answered, in less time."""
    type, id, version = data
    before, behind = _of_reader(interaction, caller)
    ends = b"]}"
    if patient is not None:
        ends = b"".join((b",", _OF_PATIENT.before, patient.encode(), _OF_PATIENT.behind, ends))
    return b"".join(
        (
            before,
            happened(now // 1000, SUCCESS, ""),
            behind,
            encode(request_id),
            _REQUEST.behind,
            b",",
            _DATA_BEFORE,
            f"{type}/{id}".encode(),
            _data_behind(version),
            ends,
        )
    )


@lru_cache(maxsize=4096)
def _of_reader(interaction: str, caller: Caller) -> tuple[bytes, bytes]:
    """What stands before and behind the time of such an event."""
    access = Access(interaction, "R", caller)
    behind = purposes(caller.purposes) + agents(caller, "R") + b',"entity":[' + _REQUEST.before
    return opening(_type(access), _subtypes(access), "R"), behind


def _type(access: Access) -> Code:
    if access.imaging is not None:
        return access.imaging.type
    return _LOG_USED if access.reads_log else _REST


def _subtypes(access: Access) -> Codes:
    if access.imaging is not None:
        found: Codes = ((OWN, access.imaging.code),)
    elif access.operation:
        found = ((_INTERACTION, access.subtype), (OWN, access.operation))
    else:
        found = ((_INTERACTION, access.subtype),)
    return (*found, EMERGENCY) if PURPOSE in access.caller.purposes else found


def _names_version(access: Access, version: int) -> bool:
    """BALP: a write names the version that it made; one that was read stands beside."""
    return version > 0 and access.action in ("C", "U")


def _data_entity(access: Access, type: str, id: str, version: int) -> tuple[bytes, ...]:
    """Raises `ValueError` for an id that cannot be one, which would write on in the event."""
    if not ID.fullmatch(id):
        raise ValueError("an event was to name a resource by what is no id")
    if _names_version(access, version):
        return (_DATA_BEFORE, f"{type}/{id}/_history/{version}".encode(), _data_behind(0))
    told = version if access.action == "R" else 0
    return (_DATA_BEFORE, f"{type}/{id}".encode(), _data_behind(told))


@lru_cache(maxsize=512)
def _data_behind(version: int) -> bytes:
    return _DATA_BEHIND % (_VERSION % version if version else b"")


def event_content(event: Event, now: int) -> bytes:
    """What was recorded of anything else, at `now`. Raises `KeyError` for an unknown kind."""
    kind = KINDS[event.kind]
    subtypes = ((kind.subtype.system, kind.subtype.code),)
    parts = [opening(kind.type, subtypes, kind.action)]
    parts.append(happened(now // 1000, event.outcome, event.reason))
    parts.append(purposes(event.purposes))
    parts.append(_agents_of(event))
    entities = _about(event)
    parts.append(b',"entity":[%s]}' % b",".join(entities) if entities else b"}")
    return b"".join(parts)


def _agents_of(event: Event) -> bytes:
    caller = Caller.of(event.principal, event.origin, event.account, event.purposes)
    return agents(caller, KINDS[event.kind].action)


def _about(event: Event) -> list[bytes]:
    """The entities of an event."""
    entities: list[bytes] = []
    if event.origin.request_id:
        entities.append(REQUEST_ENTITY % encode(event.origin.request_id))
    for item in event.about:
        target = literal(item)
        if target is None or target.base:
            identifier = {"identifier": {"system": THING, "value": item}}
            entities.append(b'{"what":' + encode(identifier) + b',"type":%s}' % _SYSTEM_OBJECT)
        else:
            what = encode({"reference": f"{target.type}/{target.id}"})
            kind = encode({"system": RESOURCE_TYPES, "code": target.type})
            entities.append(b'{"what":' + what + b',"type":' + kind + b"}")
    if event.patient is not None:
        entities.append(PATIENT_ENTITY % event.patient.encode())
    if event.detail:
        told = [{"type": name, "valueString": value} for name, value in event.detail]
        kind = encode({"system": _ENTITY_TYPE, "code": "4"})
        entities.append(b'{"type":' + kind + b',"detail":' + encode(told) + b"}")
    return entities


@lru_cache(maxsize=512)
def opening(type: Code, subtypes: Codes, action: str) -> bytes:
    """Type, subtype and action of an event as JSON."""
    kind = {"system": type.system, "code": type.code}
    codes = [{"system": system, "code": code} for system, code in subtypes]
    return (
        b',"type":' + encode(kind) + b',"subtype":' + encode(codes) + b',"action":' + encode(action)
    )


@lru_cache(maxsize=64)
def purposes(codes: tuple[str, ...]) -> bytes:
    """The purposes of an event, codes of v3-ActReason, as JSON; nothing where there are none."""
    if not codes:
        return b""
    found = [{"coding": [{"system": REASON, "code": code}]} for code in codes]
    return b',"purposeOfEvent":' + encode(found)


@lru_cache(maxsize=512)
def happened(millisecond: int, outcome: Outcome, reason: str) -> bytes:
    """When an event was, how it ended and why, as JSON."""
    instant = format_instant(millisecond * 1000)
    text = f',"recorded":"{instant}","outcome":"{outcome}"'.encode()
    return text + b',"outcomeDesc":' + encode(reason) if reason else text


class _Around(NamedTuple):
    """What stands before and behind the one value of an entity."""

    before: bytes
    behind: bytes


def _around(template: bytes) -> _Around:
    before, _, behind = (template % b"\0").partition(b"\0")
    return _Around(before, behind)


_SYSTEM_OBJECT: Final = encode({"system": _ENTITY_TYPE, "code": "2"})
REQUEST_ENTITY: Final = b'{"what":{"identifier":{"value":%%s}},"type":%s}' % encode(
    {"system": BALP_ENTITY, "code": "XrequestId"}
)
_DATA_BEFORE: Final = b'{"what":{"reference":"'
_DATA_BEHIND: Final = b'"},"type":%s,"role":%s%%s}' % (
    _SYSTEM_OBJECT,
    encode({"system": _ROLE, "code": "4"}),
)
_VERSION: Final = b',"detail":[{"type":"version","valueString":"%d"}]'
_QUERY: Final = b'{"type":%s,"role":%s,"query":"%%s"}' % (
    _SYSTEM_OBJECT,
    encode({"system": _ROLE, "code": "24"}),
)
PATIENT_ENTITY: Final = b'{"what":{"reference":"Patient/%%s"},"type":%s,"role":%s}' % (
    encode({"system": _ENTITY_TYPE, "code": "1"}),
    encode({"system": _ROLE, "code": "1"}),
)
CLASS_ENTITY: Final = b'{"type":{"system":"%s","code":"%%s"},"detail":[%s]}' % (
    RESOURCE_TYPES.encode(),
    b'{"type":"count","valueString":"%d"}',
)
_REQUEST: Final = _around(REQUEST_ENTITY)
_OF_PATIENT: Final = _around(PATIENT_ENTITY)
