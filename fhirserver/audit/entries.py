"""The index entries of an AuditEvent of ours, read from its content.

Those that an `Indexer` finds by the parameters of `KEPT`, in a tenth of its time; a test holds
them to it. https://hl7.org/fhir/R4/auditevent.html#search
"""

from __future__ import annotations

from collections.abc import Iterable
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


class _Event(msgspec.Struct):
    recorded: datetime
    outcome: str
    subtype: msgspec.Raw
    agent: msgspec.Raw
    entity: list[_Entity] = []


class _Named(NamedTuple):
    """What references are found by: the resources and the identifiers that they name."""

    targets: tuple[Reference, ...]
    identifiers: tuple[Entry, ...]


_EVENT: Final = msgspec.json.Decoder(_Event)
_AGENTS: Final = msgspec.json.Decoder(list[_Agent])
_CODINGS: Final = msgspec.json.Decoder(list[_Coding])
_PRESENT: Final[tuple[Entry, ...]] = (Token("", ""),)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_PRECISION: Final = 1000  # microseconds: events are recorded in milliseconds


def entries_of(content: bytes) -> Entries:
    """The entries of an event, whose content begins with a comma and ends the object.

    Raises `msgspec.MsgspecError` for what is no event.
    """
    event = _EVENT.decode(b"{" + content[1:])
    start = (event.recorded - _EPOCH) // _MICROSECOND
    entries: dict[str, tuple[Entry, ...]] = {
        "date": (Date(start, start + _PRECISION),),
        "outcome": (Token("", event.outcome),),
        "subtype": _subtypes(bytes(event.subtype)),
    }
    agents = _agents(bytes(event.agent))
    _add(entries, "agent", agents)
    entities = _named(entity.what for entity in event.entity)
    _add(entries, "entity", entities)
    targets = (*agents.targets, *entities.targets)
    patients = tuple(dict.fromkeys(one for one in targets if one.type == "Patient"))
    if patients:
        entries["patient"] = patients
    return entries


@lru_cache(maxsize=512)
def _subtypes(data: bytes) -> tuple[Entry, ...]:
    return tuple(dict.fromkeys(Token(one.system, one.code) for one in _CODINGS.decode(data)))


@lru_cache(maxsize=1024)
def _agents(data: bytes) -> _Named:
    """Those of the agents, which many events share."""
    return _named(agent.who for agent in _AGENTS.decode(data))


def _add(entries: dict[str, tuple[Entry, ...]], code: str, named: _Named) -> None:
    """Adds the entries of references under a parameter."""
    if named.identifiers:
        entries[f"{code}:identifier"] = named.identifiers
    if named.targets:
        entries[code] = named.targets
    elif named.identifiers:
        entries[f"{code}:present"] = _PRESENT


def _named(references: Iterable[_Reference | None]) -> _Named:
    targets: list[Reference] = []
    identifiers: list[Entry] = []
    for one in references:
        if one is None:
            continue
        if one.identifier is not None:
            identifiers.append(Token(one.identifier.system, one.identifier.value))
        if one.reference is not None:
            targets += _targets(one.reference)
    return _Named(tuple(dict.fromkeys(targets)), tuple(dict.fromkeys(identifiers)))


def _targets(text: str) -> list[Reference]:
    """The resource that a reference names; and the version, if it names one."""
    type, _, id = text.partition("/")
    resource, _, version = id.partition("/_history/")
    found = [Reference(type, resource)]
    return [*found, Reference(type, id)] if version else found
