"""Who saw whose record: the list that a breach asks for, straight from the audit trail.

45 CFR 164.404 and 164.528: whom it concerns, who had access and when, to what kind of data, for
what purpose.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final, NamedTuple

from fhirserver.audit.chain import TYPE
from fhirserver.audit.kinds import KINDS
from fhirserver.model.json import Resource, decode
from fhirserver.model.reference import literal
from fhirserver.search.expression import (
    And,
    DateIs,
    Expression,
    Query,
    ReferenceIs,
    Target,
    TokenIs,
    TokenValue,
)
from fhirserver.store.port import Store

COLUMNS: Final = (
    "when",
    "who",
    "role",
    "client",
    "address",
    "action",
    "patient",
    "classes",
    "resource",
    "purpose",
    "outcome",
    "request",
)
_PAGE: Final = 500
_BESIDE: Final = frozenset(KINDS[kind].subtype.code for kind in ("consent-decision", "disclosure"))
"""Subtypes of events that stand beside that of the access itself."""
_PATIENT: Final = "Patient"


class Seen(NamedTuple):
    """An access. All are texts; `classes` are types of resources, with how many of each."""

    when: str
    who: str
    role: str
    client: str
    address: str
    action: str
    patient: str
    classes: str
    resource: str
    purpose: str
    outcome: str
    request: str


async def accesses(
    store: Store,
    *,
    patient: str | None = None,
    agent: str | None = None,
    since: int | None = None,
    until: int | None = None,
) -> AsyncIterator[Seen]:
    """Accesses to a patient's record (a Patient's id), or by somebody, in the store's order.

    `agent` is a reference (`Practitioner/1`), an account or a client. Times in microseconds.
    """
    parts: list[Expression] = []
    if patient is not None:
        parts.append(ReferenceIs("patient", (Target(_PATIENT, patient),)))
    if agent is not None:
        parts.append(_by(agent))
    if since is not None:
        parts.append(DateIs("date", "ge", since, since))
    if until is not None:
        parts.append(DateIs("date", "lt", until, until))
    query: Query | None = Query((TYPE,), And(tuple(parts)), count=_PAGE)
    while query is not None:
        page = await store.search(query)
        for version in page.versions:
            event = decode(version.body or b"{}")
            if not _BESIDE.intersection(item.get("code") for item in event.get("subtype", ())):
                yield seen(event)
        query = replace(query, after=page.next) if page.next is not None else None


def seen(event: Resource) -> Seen:
    """The row of an AuditEvent."""
    client, user = _agents(event)
    asker = user or client
    patients, data, request, classes = _entities(event)
    return Seen(
        when=event.get("recorded", ""),
        who=_who(user) if user else "",
        role=", ".join(_codes(item) for item in asker.get("role", ())),
        client=_who(client),
        address=client.get("network", {}).get("address", ""),
        action=", ".join(item.get("code", "") for item in event.get("subtype", ())),
        patient=", ".join(patients),
        classes=", ".join(classes) or ", ".join(dict.fromkeys(map(_type, data))),
        resource=", ".join(data),
        purpose=", ".join(_codes(item) for item in asker.get("purposeOfUse", ())),
        outcome=event.get("outcomeDesc") or _OUTCOMES.get(event.get("outcome", ""), ""),
        request=request,
    )


def _by(agent: str) -> Expression:
    target = literal(agent)
    if target is not None:
        return ReferenceIs("agent", (Target(target.type, target.id),))
    return TokenIs("agent:identifier", (TokenValue(None, agent),))


def _agents(event: Resource) -> tuple[dict[str, Any], dict[str, Any] | None]:
    client: dict[str, Any] = {}
    user = None
    for agent in event.get("agent", ()):
        if "altId" in agent:
            user = agent
        elif "name" not in agent:
            client = agent
    return client, user


def _who(agent: dict[str, Any]) -> str:
    who = agent.get("who", {})
    shown: str = who.get("reference") or who.get("identifier", {}).get("value", "")
    name = agent.get("name")
    return f"{shown} ({name})" if name else shown


def _entities(event: Resource) -> tuple[list[str], list[str], str, list[str]]:
    patients, data, classes, request = [], [], [], ""
    for entity in event.get("entity", ()):
        what = entity.get("what", {})
        reference = what.get("reference", "")
        kind = entity.get("type", {})
        if kind.get("code") == "XrequestId":
            request = what.get("identifier", {}).get("value", "")
        elif kind.get("code") == "1" and reference:
            patients.append(reference.removeprefix(f"{_PATIENT}/"))
        elif reference:
            data.append(reference)
        elif kind.get("system") == "http://hl7.org/fhir/resource-types":
            count = next((item["valueString"] for item in entity.get("detail", ())), "")
            classes.append(f"{kind['code']} {count}".strip())
    return patients, data, request, classes


def _codes(concept: dict[str, Any]) -> str:
    return ", ".join(item.get("code", "") for item in concept.get("coding", ()))


def _type(reference: str) -> str:
    return reference.partition("/")[0]


_OUTCOMES: Final = {"0": "success", "4": "minor failure", "8": "refused", "12": "failure"}
