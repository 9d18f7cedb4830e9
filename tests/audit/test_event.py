"""The bytes of events: valid AuditEvents, with the entries that an indexer finds."""

from base64 import b64decode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.access.principal import Principal
from fhirserver.audit.agents import Caller
from fhirserver.audit.chain import chained
from fhirserver.audit.entries import KEPT, entries_of
from fhirserver.audit.event import Access, access_content, event_content, read_content
from fhirserver.audit.imaging import IMAGING, StudyAccess
from fhirserver.audit.kinds import KINDS
from fhirserver.audit.recorder import Event, Origin
from fhirserver.definitions.packaged import packaged
from fhirserver.model.json import Resource, decode
from fhirserver.model.resource import draft_head
from fhirserver.search.index import Indexer
from fhirserver.validation import validate

PROFILE = "urn:fhirserver:StructureDefinition:audit-event"
NOW = 1_795_206_020_123_456
ORIGIN = Origin("192.0.2.7", "fhir.example.org", "req-1")
DOCTOR = Principal(
    "account-1",
    "default",
    ("doctor",),
    fhir_user="Practitioner/d1",
    client="growth-chart",
    scopes=("user/*.rs",),
    authorization="grant-1",
    name="Dr. Example",
)
PATIENT = Principal("account-2", "default", ("patient",), "Patient/p1", name="Somebody Ill")
SYSTEM = Principal("client/loader", "default", ("loader",), client="loader")
INDEXER = Indexer(packaged().narrowed("AuditEvent", KEPT))


def resource(content: bytes) -> Resource:
    draft = chained(draft_head("AuditEvent", "000001-0000000001", 1), content, bytes(32))
    return decode(draft.stamped(NOW))


def check(content: bytes) -> Resource:
    """The event as JSON; it must be valid, and indexed as an indexer would."""
    event = resource(content)
    issues = [item for item in validate(event, [PROFILE]) if item.severity in ("error", "fatal")]
    assert issues == []
    indexed = INDEXER.entries(event, "https://fhir.example.org/fhir")
    assert {k: set(v) for k, v in indexed.items()} == {
        k: set(v) for k, v in entries_of(content).items()
    }
    return event


MISLEADING = (
    ',"recorded":"1970-01-01T00:00:00.000Z","entity":[{"what":{"reference":"Patient/p9"}}]}'
)
request_ids = st.sampled_from(["", "req-1", 'a"b\\', "\\", MISLEADING]) | st.text(
    'aé"\\\\{}[],:', max_size=8
)
callers = st.builds(
    Caller,
    st.sampled_from([None, DOCTOR, PATIENT, SYSTEM]),
    st.sampled_from(["", "192.0.2.7", "2001:db8::1"]),
    st.sampled_from(["", "fhir.example.org"]),
    account=st.sampled_from([None, "account-7"]),
    purposes=st.sampled_from([(), ("BTG",), ("TREAT", "ETREAT")]),
)
accesses = st.builds(
    Access,
    st.sampled_from(["read", "vread", "create", "update", "delete", "search-type", "operation"]),
    st.sampled_from(["C", "R", "U", "D", "E"]),
    callers,
    request_id=request_ids,
    outcome=st.sampled_from(["0", "4", "8", "12"]),
    reason=st.sampled_from(["forbidden", MISLEADING]),
    operation=st.sampled_from(["", "$everything"]),
    data=st.none() | st.sampled_from([("Observation", "o1", 0), ("Patient", "p1", 3)]),
    query=st.none() | st.binary(min_size=1, max_size=60),
    patient=st.none() | st.sampled_from(["p1", "p2"]),
    classes=st.sampled_from([(), (("Observation", 12),), (("Patient", 1), ("Condition", 2))]),
    reads_log=st.booleans(),
    imaging=st.none() | st.sampled_from(list(IMAGING.values())),
    studies=st.lists(
        st.builds(
            StudyAccess,
            st.sampled_from(["1.2.840.1", "2.25.7"]),
            st.none() | st.sampled_from(["1.2.840.1", "s1"]),
            st.none(),
            st.integers(0, 3),
        ),
        max_size=2,
    ).map(tuple),
)


@given(accesses)
def test_what_an_access_says_is_valid_and_indexed_as_an_indexer_would(access: Access) -> None:
    event = check(access_content(access, NOW))
    assert event["outcome"] == access.outcome
    assert event["recorded"] == "2026-11-20T20:20:20.123Z"


@given(
    st.sampled_from(["read", "vread"]),
    callers,
    request_ids.filter(bool),
    st.sampled_from([("Observation", "o1", 0), ("Patient", "p1", 3)]),
    st.none() | st.sampled_from(["p1", "p2"]),
)
def test_a_read_is_said_as_any_access_is(interaction, caller, request_id, data, patient) -> None:
    access = Access(interaction, "R", caller, request_id, data=data, patient=patient)
    made = read_content(interaction, caller, request_id, data, patient, NOW)
    assert made == access_content(access, NOW)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("principal", [None, DOCTOR, PATIENT, SYSTEM])
def test_every_kind_of_event(kind: str, principal: Principal | None) -> None:
    made = event_content(
        Event(
            kind,
            "8",
            principal,
            account=None if principal else "account-9",
            patient="p1",
            about=("Consent/c1", "auth.client/growth-chart"),
            reason="not allowed",
            purposes=("BTG",),
            detail=(("rows", "12"),),
            origin=ORIGIN,
        ),
        NOW,
    )
    event = check(made)
    assert event["type"]["code"] == KINDS[kind].type.code
    assert event["subtype"][0]["code"] == KINDS[kind].subtype.code


def test_what_events_share_does_not_pass_from_one_to_another() -> None:
    """Parts of events are read once for all that have them; the rest is each one's own."""
    first = {"interaction": "read", "caller": Caller(DOCTOR, "192.0.2.7", "fhir.example.org")}
    reads = [
        ("req-1", ("Observation", "o1", 2), "p1", NOW),
        ("req-2", ("Observation", "o1", 2), "p1", NOW + 1000),
        ("req-3", ("Observation", "o2", 2), "p2", NOW),
        ("req-1", ("Observation", "o1", 2), None, NOW),
    ]
    made = [
        read_content(**first, request_id=id, data=data, patient=patient, now=now)
        for id, data, patient, now in reads
    ]
    for content in (*made, *reversed(made)):
        check(content)
    found = [entries_of(content) for content in made]
    assert [one["entity:identifier"][0].code for one in found] == [id for id, *_ in reads]
    assert [[it.id for it in one.get("patient", ())] for one in found] == [
        ["p1"],
        ["p1"],
        ["p2"],
        [],
    ]


def test_what_is_no_event_has_no_entries() -> None:
    for content in (b"", b"}", b',"type":{}}', b',"subtype":[],"recorded":"x","outcome":"0"}'):
        with pytest.raises((ValueError, msgspec.MsgspecError)):
            entries_of(content)


def test_a_bare_event() -> None:
    event = check(event_content(Event("start"), NOW))
    assert "entity" not in event


@pytest.mark.check("AUD-2")
def test_a_query_names_the_request_the_agents_and_the_authorization() -> None:
    query = b"Observation?code=8480-6&patient=p1"
    caller = Caller.of(DOCTOR, ORIGIN)
    access = Access("search-type", "E", caller, "req-1", query=query, patient="p1")
    event = check(access_content(access, NOW))
    client, server, user = event["agent"]
    assert client["type"]["coding"][0]["code"] == "110153"
    assert client["who"]["identifier"]["value"] == "growth-chart"
    assert client["network"] == {"address": "192.0.2.7", "type": "2"}
    assert server["type"]["coding"][0]["code"] == "110152"
    assert user["who"] == {"reference": "Practitioner/d1"}
    assert user["requestor"] is True
    assert [item["code"] for item in user["type"]["coding"]] == ["IRCP", "UserOauthAgent"]
    assert user["policy"] == ["urn:ietf:params:oauth:jti:grant-1"]
    request, asked, patient = event["entity"]
    assert request["what"]["identifier"]["value"] == "req-1"
    assert request["type"]["code"] == "XrequestId"
    assert b64decode(asked["query"]) == query
    assert (asked["type"]["code"], asked["role"]["code"]) == ("2", "24")
    assert patient["what"] == {"reference": "Patient/p1"}


def test_a_patient_is_not_named() -> None:
    event = check(access_content(Access("read", "R", Caller.of(PATIENT, ORIGIN)), NOW))
    assert "Somebody" not in str(event)
    assert "policy" not in event["agent"][2]  # a session of the server's own pages


def test_what_is_no_id_is_no_reference() -> None:
    with pytest.raises(ValueError, match="no id"):
        access_content(Access("read", "R", Caller(None, "", ""), "", data=("Patient", '1"', 0)), 0)
