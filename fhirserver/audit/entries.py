"""The index entries of an AuditEvent of ours, read from its content.

Those that an `Indexer` finds by the parameters of `KEPT`, in a fraction of its time; a test holds
them to it. What events share (who acts, what kind of event it is, what it is about) is read once
for all of them. https://hl7.org/fhir/R4/auditevent.html#search
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from fhirserver.search.entry import Date, Entries, Entry, Reference, Token

KEPT: Final = frozenset({"agent", "date", "entity", "outcome", "patient", "subtype"})
"""The search parameters of R4 for AuditEvents that there are index entries of."""


class _Coding(msgspec.Struct):
    system: str = ""
    code: str = ""


class _Identifier(msgspec.Struct):
    system: str = ""
    value: str = ""


class _Reference(msgspec.Struct):
    reference: str | None = None
    identifier: _Identifier | None = None


class _Agent(msgspec.Struct):
    who: _Reference | None = None


class _Entity(msgspec.Struct):
    what: _Reference | None = None


class _Opening(msgspec.Struct):
    """What is before the time that is recorded."""

    subtype: list[_Coding]


class _Outcome(msgspec.Struct):
    """What is between that time and the entities."""

    outcome: str
    agent: list[_Agent]


class _Part(NamedTuple):
    """The entries of a part of an event; apart, the identifiers and patients that it names."""

    entries: Mapping[str, tuple[Entry, ...]]
    identifiers: tuple[Entry, ...] = ()
    patients: tuple[Reference, ...] = ()


_OPENING: Final = msgspec.json.Decoder(_Opening)
_OUTCOME: Final = msgspec.json.Decoder(_Outcome)
_ENTITIES: Final = msgspec.json.Decoder(list[_Entity])
_PRESENT: Final[tuple[Entry, ...]] = (Token("", ""),)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_PRECISION: Final = 1000  # microseconds: events are recorded in milliseconds
_NOTHING: Final = _Part({})
# Nothing within a text reads so: a quotation mark in one has a backslash before it.
_RECORDED: Final = b',"recorded":"'
_ENTITY: Final = b',"entity":['
_REQUEST: Final = b'{"what":{"identifier":{"value":"'  # the first entity, of most events
_BEHIND: Final = len(_REQUEST)
_SHARED: Final = 1024  # parts that are remembered, of half a kilobyte to a kilobyte


def entries_of(content: bytes) -> Entries:
    """The entries of an event, whose content begins with a comma and ends the object.

    Raises `msgspec.MsgspecError` or `ValueError` for what is no event.
    """
    opening, _, rest = content.partition(_RECORDED)
    recorded, _, rest = rest.partition(b'"')
    acted, _, about = rest.partition(_ENTITY)
    shared = _acted(opening, acted if about else acted[:-1])
    entries: dict[str, tuple[Entry, ...]] = {"date": _date(recorded), **shared.entries}
    if not about:
        part = _NOTHING
    elif about.startswith(_REQUEST) and b"\\" not in (
        name := about[_BEHIND : about.index(b'"', _BEHIND)]
    ):
        part = _about(_REQUEST + about[_BEHIND + len(name) :])
        entries["entity:identifier"] = (Token("", name.decode()), *part.identifiers[1:])
    else:
        part = _about(about)
        if part.identifiers:
            entries["entity:identifier"] = part.identifiers
    entries.update(part.entries)
    patients = part.patients
    if shared.patients:
        patients = tuple(dict.fromkeys((*shared.patients, *patients)))
    if patients:
        entries["patient"] = patients
    return entries


@lru_cache(maxsize=512)
def _date(recorded: bytes) -> tuple[Entry, ...]:
    start = (datetime.fromisoformat(recorded.decode()) - _EPOCH) // _MICROSECOND
    return (Date(start, start + _PRECISION),)


@lru_cache(maxsize=_SHARED)
def _acted(opening: bytes, acted: bytes) -> _Part:
    """What kind of event it is, how it ended and who took part."""
    codes = _OPENING.decode(b"{%b}" % opening[1:]).subtype
    event = _OUTCOME.decode(b"{%b}" % acted[1:])
    agents = _named("agent", (agent.who for agent in event.agent))
    entries: dict[str, tuple[Entry, ...]] = {
        "outcome": (Token("", event.outcome),),
        "subtype": tuple(dict.fromkeys(Token(one.system, one.code) for one in codes)),
        **agents.entries,
    }
    if agents.identifiers:
        entries["agent:identifier"] = agents.identifiers
    return agents._replace(entries=entries)


@lru_cache(maxsize=_SHARED)
def _about(entities: bytes) -> _Part:
    """What it is about; the entities end the list and the object."""
    found = _ENTITIES.decode(b"[" + entities[:-1])
    return _named("entity", (entity.what for entity in found))


def _named(code: str, references: Iterable[_Reference | None]) -> _Part:
    """What references are found by under a parameter."""
    targets: list[Reference] = []
    identifiers: list[Entry] = []
    for one in references:
        if one is None:
            continue
        if one.identifier is not None:
            identifiers.append(Token(one.identifier.system, one.identifier.value))
        if one.reference is not None:
            targets += _targets(one.reference)
    unique = tuple(dict.fromkeys(targets))
    entries: dict[str, tuple[Entry, ...]] = {}
    if unique:
        entries[code] = unique
    elif identifiers:
        entries[f"{code}:present"] = _PRESENT
    patients = tuple(one for one in unique if one.type == "Patient")
    return _Part(entries, tuple(dict.fromkeys(identifiers)), patients)


def _targets(text: str) -> list[Reference]:
    """The resource that a reference names; and the version, if it names one."""
    type, _, id = text.partition("/")
    resource, _, version = id.partition("/_history/")
    found = [Reference(type, resource)]
    return [*found, Reference(type, id)] if version else found
