"""Worlds that differ only in what a caller may not see, and the callers."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from interactions.client import KEY, Client
from stores import open_store

from fhirserver.access.authority import Authority
from fhirserver.access.grant import Grant, grant_of
from fhirserver.access.policy import packaged_policies
from fhirserver.access.principal import Principal
from fhirserver.definitions.packaged import packaged
from fhirserver.interactions.context import Context, Policy
from fhirserver.interactions.seal import AesSealer
from fhirserver.model.json import Resource
from fhirserver.operations.table import offered
from fhirserver.search.index import Indexer

CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
START = 1_700_000_000_000_000
STEP = 1_000_000
DELETED: Resource = {}

INDEXER = Indexer(packaged(), "all")
POLICIES = packaged_policies().with_roles(
    [
        """
role = "keeper"
title = "Keeps one record: may do everything in it"
held_to_consents = false
operations = ["*"]
[[rule]]
types = ["people", "clinical", "teams", "consent", "scheduling", "identities"]
of = "own record"
letters = "cruds"
[[rule]]
types = ["directory", "knowledge", "definitions"]
letters = "rs"
[[rule]]
types = ["Binary"]
of = "security context"
letters = "r"
"""
    ]
)


@dataclass(frozen=True)
class Item:
    """A resource of the pool: its versions (`DELETED`: a deletion), and what hides it.

    `about`: the patients in whose compartment it is; none: it is about nobody. `was`: the same
    of its earlier versions.
    """

    versions: tuple[Resource, ...]
    about: frozenset[str] = frozenset()
    label: str = ""
    was: frozenset[str] | None = None

    @property
    def type(self) -> str:
        type: str = self.versions[0]["resourceType"]
        return type

    @property
    def id(self) -> str:
        id: str = self.versions[0]["id"]
        return id


def _ref(text: str) -> Resource:
    return {"reference": text}


def _concept(code: str) -> Resource:
    return {"coding": [{"system": "http://loinc.org", "code": code}], "text": f"text {code}"}


def patient(id: str, family: str, **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": id, "name": [{"family": family}], **more}


def observation(id: str, subject: str, code: str = "1", **more: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": _concept(code),
        "subject": _ref(f"Patient/{subject}"),
        "effectiveDateTime": "2024-01-0" + (code if code in "123456789" else "1"),
        "valueQuantity": {
            "value": 5,
            "unit": "mg",
            "system": "http://unitsofmeasure.org",
            "code": "mg",
        },
        "category": [{"coding": [{"code": "laboratory" if code == "1" else "vital-signs"}]}],
        **more,
    }


def labelled(resource: Resource, code: str) -> Resource:
    return resource | {"meta": {"security": [{"system": CONFIDENTIALITY, "code": code}]}}


def binary(id: str, context: str | None) -> Resource:
    resource: Resource = {"resourceType": "Binary", "id": id, "contentType": "text/plain"}
    if context is not None:
        resource["securityContext"] = _ref(context)
    return resource | {"data": "c2VjcmV0"}


def _item(resource: Resource, *about: str, label: str = "") -> Item:
    return Item((resource,), frozenset(about), label)


def pool() -> tuple[Item, ...]:
    """All that may be there, in the order in which it comes."""
    return (
        _item({"resourceType": "Organization", "id": "org", "name": "Ward"}),
        _item({"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Doc"}]}),
        _item({"resourceType": "Practitioner", "id": "nur", "name": [{"family": "Nur"}]}),
        _item(patient("ann", "Ann", generalPractitioner=[_ref("Practitioner/doc")]), "ann"),
        _item(
            patient("bob", "Bob", link=[{"other": _ref("Patient/ann"), "type": "seealso"}]), "bob"
        ),
        _item(patient("cat", "Cat", managingOrganization=_ref("Organization/org")), "cat"),
        _item(
            {
                "resourceType": "Consent",
                "id": "cat-out",
                "status": "active",
                "scope": {"coding": [{"code": "patient-privacy"}]},
                "category": [{"coding": [{"code": "59284-0"}]}],
                "patient": _ref("Patient/cat"),
                "policyRule": {"coding": [{"code": "OPTOUT"}]},
            },
            "cat",
        ),
        _item(
            {
                "resourceType": "Encounter",
                "id": "e-ann",
                "status": "finished",
                "class": {"code": "AMB"},
                "subject": _ref("Patient/ann"),
            },
            "ann",
        ),
        _item(
            {
                "resourceType": "Encounter",
                "id": "e-bob",
                "status": "finished",
                "class": {"code": "IMP"},
                "subject": _ref("Patient/bob"),
            },
            "bob",
        ),
        _item(
            observation(
                "o-ann",
                "ann",
                performer=[_ref("Practitioner/doc")],
                encounter=_ref("Encounter/e-ann"),
            ),
            "ann",
        ),
        _item(observation("o-ann2", "ann", "2", note=[{"text": "fever"}]), "ann"),
        _item(
            observation(
                "o-bob", "bob", hasMember=[_ref("Observation/o-ann")], focus=[_ref("Patient/ann")]
            ),
            "bob",
        ),
        _item(observation("o-bob2", "bob", "3", performer=[_ref("Practitioner/nur")]), "bob"),
        _item(observation("o-cat", "cat", "2"), "cat"),
        _item(labelled(observation("o-v", "ann", "4"), "V"), "ann", label="V"),
        _item(labelled(observation("o-r", "ann", "5"), "R"), "ann", label="R"),
        _item(labelled(observation("o-bv", "bob", "1"), "V"), "bob", label="V"),
        Item(
            (observation("o-in", "bob", "6"), observation("o-in", "ann", "6")),
            frozenset({"ann"}),
            was=frozenset({"bob"}),
        ),
        Item(
            (observation("o-out", "ann", "7"), observation("o-out", "bob", "7")),
            frozenset({"bob"}),
            was=frozenset({"ann"}),
        ),
        Item((observation("o-gone", "ann", "8"), DELETED), frozenset({"ann"})),
        Item((observation("o-bgone", "bob", "8"), DELETED), frozenset({"bob"})),
        _item(
            {
                "resourceType": "DiagnosticReport",
                "id": "d-bob",
                "status": "final",
                "code": _concept("1"),
                "subject": _ref("Patient/bob"),
                "result": [_ref("Observation/o-ann"), _ref("Observation/o-bob")],
            },
            "bob",
        ),
        _item(
            {
                "resourceType": "DiagnosticReport",
                "id": "d-ann",
                "status": "final",
                "code": _concept("2"),
                "subject": _ref("Patient/ann"),
                "result": [
                    _ref("Observation/o-ann"),
                    _ref("Observation/o-bob"),
                    _ref("Observation/o-v"),
                ],
            },
            "ann",
        ),
        _item(
            {
                "resourceType": "MedicationRequest",
                "id": "m-bob",
                "status": "active",
                "intent": "order",
                "contained": [
                    {"resourceType": "Medication", "id": "m1", "code": _concept("aspirin")}
                ],
                "medicationReference": _ref("#m1"),
                "subject": _ref("Patient/bob"),
            },
            "bob",
        ),
        _item(
            {
                "resourceType": "MedicationRequest",
                "id": "m-ann",
                "status": "active",
                "intent": "order",
                "contained": [
                    {"resourceType": "Medication", "id": "m1", "code": _concept("aspirin")}
                ],
                "medicationReference": _ref("#m1"),
                "subject": _ref("Patient/ann"),
            },
            "ann",
        ),
        _item(
            {
                "resourceType": "List",
                "id": "l-bob",
                "status": "current",
                "mode": "working",
                "subject": _ref("Patient/bob"),
                "entry": [
                    {"item": _ref("Observation/o-ann")},
                    {"item": _ref("Observation/o-last")},
                ],
            },
            "bob",
        ),
        _item(
            {
                "resourceType": "Group",
                "id": "g",
                "type": "person",
                "actual": True,
                "member": [{"entity": _ref("Patient/ann")}, {"entity": _ref("Patient/bob")}],
            },
            "nobody",
        ),
        _item(
            {
                "resourceType": "Provenance",
                "id": "p-bob",
                "recorded": "2024-01-01T00:00:00Z",
                "target": [_ref("Patient/bob"), _ref("Observation/o-ann")],
                "agent": [{"who": _ref("Practitioner/doc")}],
            },
            "bob",
        ),
        _item(observation("o-last", "ann", "9"), "ann"),
        _item(binary("b-ann", "Observation/o-ann"), "ann"),
        _item(binary("b-bob", "Observation/o-bob"), "bob"),
        _item(binary("b-cat", "Patient/cat"), "cat"),
        _item(binary("b-v", "Observation/o-v"), "ann", label="V"),
        _item(binary("b-none", None), "nobody"),
        _item({"resourceType": "Location", "id": "room", "name": "Room"}),
    )


POOL = pool()
IDS = {item.id: item.type for item in POOL}
_KEPT = frozenset({"cat-out"})


@dataclass(frozen=True)
class Caller:
    """Who asks, and a plain account of what the caller sees of the pool."""

    name: str
    principal: Principal
    sees: Callable[[Item], bool]
    sees_all_versions: bool = False

    @property
    def grant(self) -> Grant:
        return grant_of(self.principal, POLICIES)


_NEVER = frozenset({"Group", "Person", "AuditEvent"})
_DIRECTORY = frozenset({"Organization", "Practitioner", "Location"})


def _of_ann(item: Item) -> bool:
    return item.type not in _NEVER and (not item.about or "ann" in item.about)


def _of_app(item: Item) -> bool:
    if item.label == "V":
        return False
    if item.type == "Observation":
        category = item.versions[0]["category"][0]["coding"][0]["code"]
        return _of_ann(item) and category == "laboratory"
    return item.type in _DIRECTORY or (item.type == "Patient" and item.id == "ann")


def _by_role(*labels: str) -> Callable[[Item], bool]:
    return lambda item: (
        item.type not in _NEVER
        and item.about.isdisjoint({"cat", "nobody"})
        and item.label not in labels
    )


CALLERS = (
    Caller("patient", Principal("u-ann", "t", ("patient",), fhir_user="Patient/ann"), _of_ann),
    Caller("keeper", Principal("u-ann2", "t", ("keeper",), fhir_user="Patient/ann"), _of_ann),
    Caller(
        "app",
        Principal(
            "u-doc",
            "t",
            ("doctor",),
            fhir_user="Practitioner/doc",
            client="app",
            patient="ann",
            scopes=(
                "openid",
                "fhirUser",
                "patient/Patient.rs",
                "patient/Observation.cruds?category=laboratory",
                "user/Practitioner.rs",
                "user/Organization.s",
                "user/Location.r",
            ),
        ),
        _of_app,
    ),
    Caller(
        "doctor",
        Principal("u-nur", "t", ("doctor",), fhir_user="Practitioner/nur"),
        _by_role("V"),
    ),
    Caller(
        "nurse",
        Principal("u-nur2", "t", ("nurse",), fhir_user="Practitioner/nur"),
        _by_role("V", "R"),
    ),
    Caller("support", Principal("u-sup", "t", ("support",)), lambda item: item.type in _DIRECTORY),
)
BY_NAME = {caller.name: caller for caller in CALLERS}


def hidden(caller: Caller) -> tuple[Item, ...]:
    """What of the pool the caller may not see, or may not see the past of."""
    return tuple(
        item
        for item in POOL
        if item.id not in _KEPT and (not caller.sees(item) or _has_other_past(caller, item))
    )


def _has_other_past(caller: Caller, item: Item) -> bool:
    return item.was is not None and not caller.sees(replace(item, about=item.was, was=None))


def varied(caller: Caller, item: Item, variant: int) -> tuple[Resource, ...]:
    """The versions that one of several worlds holds; () for one without it.

    Only what the caller may not see differs. Variants: 0 is absent, 1 as in the pool, 2 with
    another content and one version more.
    """
    if caller.sees(item):  # it is the past that differs
        if variant != 2:
            return item.versions
        return (_other(item.versions[0]), *item.versions[1:])
    if variant == 0:
        return ()
    if variant == 1:
        return item.versions
    first, *rest = item.versions
    return (first, _other(first), *rest)


def _other(resource: Resource) -> Resource:
    """Other content that hides the same: names, codes, values, dates, and texts."""
    out = dict(resource)
    match resource["resourceType"]:
        case "Patient":
            out |= {"name": [{"family": "Else"}], "birthDate": "1970-01-01"}
        case "Observation":
            out |= {
                "code": _concept("2"),
                "effectiveDateTime": "2023-05-05",
                "valueQuantity": {"value": 7},
                "note": [{"text": "fever"}],
            }
        case "DiagnosticReport":
            out |= {"status": "amended", "result": [_ref("Observation/o-ann2")]}
        case "Encounter":
            out |= {"status": "planned", "class": {"code": "AMB"}}
        case _:
            out |= {"language": "en"}
    return out


@dataclass
class World:
    client: Client
    context: Context
    clock: list[int]


@asynccontextmanager
async def world(path: Path, caller: Caller, variants: Mapping[str, int]) -> AsyncIterator[World]:
    """A store with the pool; of what the caller may not see, the variants by id."""
    clock = [START]

    def now() -> int:
        return clock[0]

    store = await open_store(path, now)
    numbers = count(1)
    try:
        context = Context(
            store=store,
            concepts=store.concepts,
            definitions=packaged(),
            indexer=INDEXER,
            policy=Policy(validation="off", page_size=3),
            sealer=AesSealer(KEY, now=now, random=lambda size: bytes(size)),
            now=now,
            new_id=lambda: f"new-{next(numbers)}",
            access=Authority(store, store.records, now, POLICIES),
        )
        client = Client(context, offered(expunges=True))
        for number, item in enumerate(POOL):
            versions = item.versions
            if item.id in variants:
                versions = varied(caller, item, variants[item.id])
            for step, resource in enumerate(versions):
                clock[0] = START + (number * 10 + step) * STEP
                if resource:
                    await client.put(resource)
                else:
                    await client.delete(f"{item.type}/{item.id}?_cascade=delete")
        clock[0] = START + 10_000 * STEP
        yield World(client, context, clock)
    finally:
        await store.close()


def named(items: Iterable[object]) -> str:
    """A short name of what is asked, which is the same each time."""
    return hashlib.sha256(repr(list(items)).encode()).hexdigest()[:8]
