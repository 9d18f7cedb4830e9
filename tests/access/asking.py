"""Requests of every kind, generated; and their answers, told in full."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from access.worlds import IDS, Caller, World, observation, patient
from hypothesis import strategies as st
from interactions.bundles import batch, entry, transaction

from fhirserver.errors import FhirError
from fhirserver.model.json import Resource


@dataclass(frozen=True)
class Ask:
    """A request; `more` are further fields of it."""

    method: str
    url: str
    more: tuple[tuple[str, Any], ...] = ()

    def __repr__(self) -> str:
        return f"{self.method} {self.url} {json.dumps(dict(self.more), default=str)}"


def _url(path: str, pairs: Sequence[str]) -> str:
    return f"{path}?{'&'.join(pairs)}" if pairs else path


_TYPES = sorted({*IDS.values(), "Medication", "CareTeam", "AuditEvent", "Binary", "Task"})
_PLACES = st.sampled_from([*((type, id) for id, type in sorted(IDS.items())), ("Patient", "nope")])
_PATIENTS = st.sampled_from(["ann", "bob", "cat", "nope"])

_ANY = [
    "_id=o-bob", "_id=ann,bob", "_lastUpdated=gt2020", "_security=V", "_sort=-_lastUpdated",
    "_sort=_id", "_total=accurate", "_total=estimate", "_summary=count", "_summary=true",
    "_count=1", "_count=2", "_include=*", "_revinclude=*", "_include:iterate=*", "_content=fever",
    "_list=l-bob", "_elements=status", "_count=0", "_type=Observation,Patient",
    "_has:List:item:status=current", "_has:Provenance:target:agent=Practitioner/doc",
]  # fmt: skip
_OF = {
    "Observation": [
        "subject=Patient/ann", "subject=Patient/bob", "patient=bob", "patient.name=Bob",
        "subject:Patient.family=Ann", "subject.name=Else", "code=1", "code=2", "code:text=text",
        "value-quantity=gt4", "date=2024", "date=lt2024", "_sort=date", "_sort=-code",
        "_sort=subject", "performer.name=Doc", "encounter.class=AMB", "encounter.class=IMP",
        "patient._has:Consent:patient:status=active", "has-member.patient.name=Ann",
        "_has:Observation:has-member:code=1", "_has:DiagnosticReport:result:status=final",
        "_has:DiagnosticReport:result:patient.name=Bob", "_include=Observation:subject",
        "_include=Observation:performer", "_revinclude=DiagnosticReport:result",
        "_revinclude=Provenance:target", "_include:iterate=Patient:link", "focus=Patient/ann",
        "_filter=code eq 1 and patient.name eq Bob", "category=laboratory", "subject:missing=true",
        "code:not=1", "code-value-quantity=1$gt4",
    ],
    "Patient": [
        "name=Bob", "family=Ann", "name:contains=o", "link=Patient/ann", "link.name=Ann",
        "_has:Observation:patient:code=1", "_has:Observation:patient:code=3",
        "_has:Observation:patient:_has:DiagnosticReport:result:status=final",
        "_has:Group:member:type=person", "_has:Consent:patient:status=active",
        "general-practitioner.name=Doc", "organization.name=Ward", "birthdate=1970",
        "_revinclude=Observation:subject", "_revinclude=Observation:patient", "_sort=family",
        "_revinclude=Patient:link", "_include=Patient:link",
    ],
    "DiagnosticReport": [
        "result.code=1", "result=Observation/o-bob", "subject.name=Bob", "result.subject.name=Bob",
        "_include=DiagnosticReport:result", "result:missing=false", "result.value-quantity=gt4",
    ],
    "MedicationRequest": ["medication.code=aspirin", "subject.name=Bob", "_contained=both"],
    "Medication": [
        "_contained=true&code=aspirin", "_contained=true&_containedType=contained&code=aspirin",
        "_contained=both&code=aspirin", "_contained=both&_containedType=contained",
    ],
    "Practitioner": [
        "_has:Observation:performer:patient.name=Bob", "_revinclude=Observation:performer",
        "_has:Observation:performer:code=3", "name=Nur",
        "_has:Patient:general-practitioner:name=Ann",
    ],
    "Organization": ["_has:Patient:organization:name=Cat", "name=Ward"],
    "Encounter": ["class=IMP", "subject.name=Bob", "_has:Observation:encounter:status=final"],
    "Group": ["member=Patient/bob", "type=person"],
    "List": ["item=Observation/o-ann", "item.code=1"],
}  # fmt: skip


@st.composite
def _searches(draw: st.DrawFn) -> Ask:
    type = draw(st.sampled_from([*sorted(_OF), *sorted(_OF), *_TYPES]))
    known = _OF.get(type, [])
    pairs = draw(st.lists(st.sampled_from([*known, *known, *_ANY]), max_size=3, unique=True))
    path = draw(st.sampled_from([type, type, type, f"{type}/__explain"]))
    return Ask("GET", _url(path, pairs))


@st.composite
def _others(draw: st.DrawFn) -> Ask:
    type, id = draw(_PLACES)
    who = draw(_PATIENTS)
    number = draw(st.integers(1, 4))
    some = draw(st.lists(st.sampled_from(_ANY), max_size=2, unique=True))
    count = draw(st.sampled_from(["", "_count=1", "_count=2", "_since=2023-11-14T22:14:00Z"]))
    query = _GRAPHQL[draw(st.sampled_from(sorted(_GRAPHQL)))]
    url = draw(
        st.sampled_from(
            [
                f"{type}/{id}",
                f"{type}/{id}/_history/{number}",
                _url(f"{type}/{id}/_history", [count]),
                _url(f"{type}/_history", [count]),
                _url("_history", [count]),
                _url("", some),
                _url(f"Patient/{who}/Observation", some),
                _url(f"Patient/{who}/*", some),
                _url(f"Encounter/e-{who}/Observation", some),
                f"Patient/{who}/$everything",
                f"Patient/{who}/$everything?_count=2",
                f"Encounter/e-{who}/$everything",
                f"Observation/$lastn?patient={who}",
                "Observation/$lastn?code=1&max=2",
                f"Observation/$stats?subject=Patient/{who}&code=http://loinc.org|1&statistic=count",
                "$meta",
                f"{type}/$meta",
                f"{type}/{id}/$meta",
                f"{type}/{id}/$validate",
                f"{type}/{id}/$graphql?query={quote(_GRAPHQL['one'])}",
                f"$graphql?query={quote(query)}",
                f"Patient/{who}/$expunge",
                f"{type}/{id}/__explain",
            ]
        )
    )
    if draw(st.booleans()):
        return Ask("GET", url, (("if_none_match", f'W/"{number}"'),))
    return Ask("GET", url)


_GRAPHQL = {
    "one": "{resourceType,id}",
    "list": '{ObservationList(code:"1"){id,subject{reference,resource{id}}}}',
    "reverse": '{Patient(id:"ann"){id,ObservationList(_reference:subject){id}}}',
    "reports": '{DiagnosticReport(id:"d-ann"){result{resource{id,...on Observation{status}}}}}',
    "bob": '{Patient(id:"bob"){name{family}}}',
}


# --- writes ---------------------------------------------------------------------------------


@st.composite
def _bodies(draw: st.DrawFn, type: str = "", id: str = "") -> Resource:
    who, other = draw(_PATIENTS), draw(_PLACES)
    type = type or draw(st.sampled_from(["Observation", "Patient", "Consent"]))
    if type == "Patient":
        return patient(id, draw(st.sampled_from(["Ann", "New"])))
    if type == "Observation":
        more = draw(
            st.sampled_from(
                [
                    {},
                    {"hasMember": [{"reference": "/".join(other)}]},
                    {"performer": [{"reference": "Patient/ann"}]},
                    {"meta": {"security": [{"code": "V"}]}},
                ]
            )
        )
        return observation(id, who, draw(st.sampled_from("12")), **more)
    return {
        "resourceType": type,
        "id": id,
        "status": "active",
        "patient": {"reference": f"Patient/{who}"},
    }


@st.composite
def _writes(draw: st.DrawFn) -> Ask:
    type, id = draw(_PLACES)
    condition = draw(
        st.sampled_from(["code=1&status=final", "_id=o-bob", "patient.name=Bob", "_id=o-last"])
    )
    match draw(st.integers(0, 8)):
        case 0:
            body = draw(_bodies(type, id))
            if_match = draw(st.sampled_from([None, 'W/"1"', 'W/"2"']))
            return Ask("PUT", f"{type}/{id}", (("resource", body), ("if_match", if_match)))
        case 1:
            return Ask(
                "POST", "Observation", (("resource", _without_id(draw(_bodies("Observation")))),)
            )
        case 2:
            body = _without_id(draw(_bodies("Observation")))
            pairs = tuple(tuple(part.split("=")) for part in condition.split("&"))
            return Ask("POST", "Observation", (("resource", body), ("if_none_exist", pairs)))
        case 3:
            body = _without_id(draw(_bodies("Observation")))
            return Ask("PUT", f"Observation?{condition}", (("resource", body),))
        case 4:
            return Ask("DELETE", f"{type}/{id}{draw(st.sampled_from(['', '?_cascade=delete']))}")
        case 5:
            return Ask("DELETE", f"Observation?{condition}")
        case 6:
            steps = [{"op": "replace", "path": "/status", "value": "amended"}]
            return Ask("PATCH", f"{type}/{id}", (("patch", steps),))
        case 7:
            body = draw(_bodies("Observation", "fresh"))
            return Ask("PUT", "Observation/fresh", (("resource", body),))
        case _:
            return draw(_bundles())


def _without_id(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if name != "id"}


@st.composite
def _bundles(draw: st.DrawFn) -> Ask:
    entries = []
    for number in range(draw(st.integers(1, 3))):
        type, id = draw(_PLACES)
        kind = draw(st.integers(0, 4))
        if kind == 0:
            entries.append(entry("GET", f"{type}/{id}"))
        elif kind == 1:
            entries.append(entry("GET", draw(_searches()).url.replace("/__explain", "")))
        elif kind == 2:
            entries.append(entry("PUT", f"{type}/{id}", draw(_bodies(type, id))))
        elif kind == 3:
            body = _without_id(draw(_bodies("Observation")))
            entries.append(
                entry(
                    "POST",
                    "Observation",
                    body,
                    f"urn:uuid:{number}",
                    ifNoneExist="patient.name=Bob",
                )
            )
        else:
            entries.append(entry("DELETE", f"{type}/{id}"))
    make = draw(st.sampled_from([batch, transaction]))
    return Ask("POST", "", (("resource", make(*entries)),))


READS = st.one_of(_searches(), _searches(), _others())
WRITES = _writes()


# --- answers --------------------------------------------------------------------------------

_TOKEN = re.compile(r"_cursor=[A-Za-z0-9_-]+")
_DURATION = re.compile(r'("name":"\w+Microseconds","valueInteger":)\d+')


async def told(world: World, caller: Caller, ask: Ask, grant: Any) -> list[str]:
    """All that the caller learns: the answer, and those of the pages that it leads to."""
    out = []
    url: str | None = ask.url
    for _ in range(30):
        if url is None:
            break
        text, url = await _one(world, ask if not out else Ask("GET", url), grant)
        out.append(text)
    return out


async def _one(world: World, ask: Ask, grant: Any) -> tuple[str, str | None]:
    try:
        answer = await world.client.ask(ask.method, ask.url, grant=grant, **dict(ask.more))
    except FhirError as error:
        told = [error.status, error.text, error.expression, error.headers, error.issues]
        return repr(told), None
    body = _DURATION.sub(r"\1", (answer.body or b"").decode())
    following = None
    if '"relation":"next"' in body:
        links = json.loads(body).get("link", ())
        following = next((item["url"] for item in links if item["relation"] == "next"), None)
    headers = {name: _TOKEN.sub("_cursor=", value) for name, value in answer.headers.items()}
    told = [
        answer.status,
        _TOKEN.sub("_cursor=", body),
        answer.type,
        answer.id,
        answer.version,
        answer.last_updated,
        answer.location,
        headers,
    ]
    return repr(told), following
