"""What passes the gate is in the trail, before it is answered."""

from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from audit.conftest import TENANT, World, about, observation, opened, patient

from fhirserver.access.grant import Grant
from fhirserver.access.principal import Principal
from fhirserver.audit.masked import Masked
from fhirserver.audit.shelf import Shelf
from fhirserver.errors import FhirError, MethodNotAllowed, NotFound, Unavailable
from fhirserver.interactions import transaction
from fhirserver.interactions.request import Request
from fhirserver.model.json import Resource, decode
from fhirserver.validation import validate

PROFILE = "urn:fhirserver:StructureDefinition:audit-event"


def kind(event: Resource) -> tuple[str, str, str]:
    return event["subtype"][0]["code"], event["action"], event["outcome"]


@pytest.mark.check("AUD-1")
async def test_each_write_and_read_of_a_record_gives_one_event(world: World) -> None:
    await world.put(patient("p1"))
    await world.put(observation("o1", "p1"))
    await world.put(observation("o1", "p1", note=[{"text": "again"}]))
    await world.ask("read", "Observation", id="o1")
    await world.ask("vread", "Observation", id="o1", version="1")
    await world.ask(
        "patch",
        "Observation",
        id="o1",
        patch=[{"op": "replace", "path": "/status", "value": "amended"}],
    )
    await world.ask("delete", "Observation", id="o1")
    events = await world.events()
    assert [kind(item) for item in events] == [
        ("create", "C", "0"),
        ("create", "C", "0"),
        ("update", "U", "0"),
        ("read", "R", "0"),
        ("vread", "R", "0"),
        ("patch", "U", "0"),
        ("delete", "D", "0"),
    ]
    assert [about(item) for item in events] == [
        ["Patient/p1/_history/1", "Patient/p1"],
        ["Observation/o1/_history/1", "Patient/p1"],
        ["Observation/o1/_history/2", "Patient/p1"],
        ["Observation/o1", "Patient/p1"],
        ["Observation/o1", "Patient/p1"],
        ["Observation/o1/_history/3", "Patient/p1"],
        ["Observation/o1", "Patient/p1"],
    ]
    for event in events:
        found = validate(event, [PROFILE])
        assert [item for item in found if item.severity in ("error", "fatal")] == []


@pytest.mark.check("AUD-1")
@pytest.mark.check("AUD-2")
async def test_a_search_gives_an_event_for_each_patient_it_touched(world: World) -> None:
    for number in range(3):
        await world.put(patient(f"p{number}"))
        await world.put(observation(f"o{number}", f"p{number}"))
    await world.put(observation("o3", "p2"))

    async def search() -> None:
        pairs = (("code:text", "pulse"), ("_include", "Observation:subject"))
        await world.ask("search-type", "Observation", parameters=pairs)

    events = await world.new_events(search)
    assert {about(item)[0]: len(item["entity"]) for item in events} == {
        "Patient/p0": 5,
        "Patient/p1": 5,
        "Patient/p2": 5,
    }
    assert {kind(item) for item in events} == {("search-type", "E", "0")}
    queries = [item["query"] for event in events for item in event["entity"] if "query" in item]
    assert {b64decode(item) for item in queries} == {
        b"Observation?code:text=pulse&_include=Observation:subject"
    }
    (of_two,) = [item for item in events if about(item) == ["Patient/p2"]]
    counts = [
        (item["type"]["code"], item["detail"][0]["valueString"])
        for item in of_two["entity"]
        if "detail" in item
    ]
    assert counts == [("Observation", "2"), ("Patient", "1")]


async def test_a_search_that_finds_nothing_is_about_whom_it_asked_for(world: World) -> None:
    async def search() -> None:
        await world.ask("search-type", "Observation", parameters=(("patient", "p9"),))

    (event,) = await world.new_events(search)
    assert about(event) == ["Patient/p9"]


async def test_a_search_of_what_is_no_patients_gives_one_event(world: World) -> None:
    async def search() -> None:
        await world.ask("search-type", "Organization")

    (event,) = await world.new_events(search)
    assert about(event) == []


async def test_moving_a_resource_touches_both_patients(world: World) -> None:
    await world.put(patient("p1"))
    await world.put(patient("p2"))
    await world.put(observation("o1", "p1"))

    async def move() -> None:
        await world.put(observation("o1", "p2"))

    events = await world.new_events(move)
    assert {about(item)[1] for item in events} == {"Patient/p1", "Patient/p2"}


@pytest.mark.check("AUD-3")
async def test_what_is_refused_or_fails_is_recorded(world: World) -> None:
    async def fail() -> None:
        with pytest.raises(NotFound):
            await world.ask("read", "Observation", id="nothing")
        with pytest.raises(FhirError):
            await world.ask("update", "Patient", id="p1", resource={"resourceType": "Patient"})
        with pytest.raises(FhirError):
            await world.ask("search-type", "Patient", parameters=(("no-such", "1"),))

    events = await world.new_events(fail)
    assert [(item["outcome"], item["outcomeDesc"]) for item in events] == [
        ("4", "404 not-found"),
        ("4", "400 invalid"),
        ("4", "400 not-supported"),
    ]
    assert about(events[0]) == ["Observation/nothing"]


@pytest.mark.check("AUD-3")
async def test_who_may_not_is_recorded_as_refused(world: World) -> None:
    world.grant = Grant("account-1", principal=world.grant.principal)

    async def fail() -> None:
        with pytest.raises(FhirError):
            await world.ask("read", "Observation", id="o1")

    (event,) = await world.new_events(fail)
    assert kind(event) == ("read", "R", "8")
    assert event["outcomeDesc"][:3] in ("401", "403")
    assert event["agent"][2]["who"] == {"reference": "Practitioner/d1"}


@pytest.mark.check("AUD-3")
async def test_each_entry_of_a_batch_is_recorded(world: World) -> None:
    await world.put(patient("p1"))
    entries = [
        {"request": {"method": "GET", "url": "Patient/p1"}},
        {"request": {"method": "GET", "url": "Patient/none"}},
        {"request": {"method": "PUT", "url": "Patient/p2"}, "resource": patient("p2")},
    ]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}

    async def batch() -> None:
        await world.ask("batch", resource=bundle)

    events = await world.new_events(batch)
    assert sorted(kind(item) for item in events) == [
        ("create", "C", "0"),
        ("read", "R", "0"),
        ("read", "R", "4"),
    ]
    requests = {item["entity"][0]["what"]["identifier"]["value"] for item in events}
    assert requests == {"req-1"}


async def test_each_entry_of_a_transaction_is_recorded(world: World) -> None:
    if not world.running.store.atomic:
        pytest.skip("no transactions")
    entries = [
        {"request": {"method": "PUT", "url": "Patient/p1"}, "resource": patient("p1")},
        {
            "request": {"method": "PUT", "url": "Observation/o1"},
            "resource": observation("o1", "p1"),
        },
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}

    async def transaction() -> None:
        await world.ask("transaction", resource=bundle)

    events = await world.new_events(transaction)
    assert sorted(about(item)[0] for item in events) == [
        "Observation/o1/_history/1",
        "Patient/p1/_history/1",
    ]


async def test_operations_are_recorded(world: World) -> None:
    await world.put(patient("p1"))
    await world.put(observation("o1", "p1"))

    async def everything() -> None:
        await world.ask("$everything", "Patient", id="p1")

    (event,) = await world.new_events(everything)
    assert [item["code"] for item in event["subtype"]] == ["operation", "$everything"]
    assert about(event) == ["Patient/p1", "Patient/p1"]
    counts = {item["type"]["code"] for item in event["entity"] if "detail" in item}
    assert {"Observation", "Patient"} <= counts


async def test_the_capability_statement_is_not_recorded(world: World) -> None:
    async def ask() -> None:
        await world.ask("capabilities")

    assert await world.new_events(ask) == []


async def test_reading_the_trail_is_recorded_once(world: World) -> None:
    await world.put(patient("p1"))
    for _ in range(5):
        await world.ask("read", "Patient", id="p1")

    async def read_trail() -> None:
        answer = await world.ask("search-type", "AuditEvent", parameters=(("patient", "p1"),))
        bundle = decode(answer.body or b"")
        assert bundle["total"] == 6
        await world.ask("read", "AuditEvent", id=bundle["entry"][0]["resource"]["id"])

    events = await world.new_events(read_trail)
    assert [item["type"]["code"] for item in events] == ["110101", "110101"]
    assert about(events[0]) == []


@pytest.mark.check("AUD-7")
@pytest.mark.parametrize(
    ("interaction", "more"),
    [
        ("create", {"resource": {"resourceType": "AuditEvent"}}),
        ("update", {"id": "x", "resource": {"resourceType": "AuditEvent", "id": "x"}}),
        ("patch", {"id": "x", "patch": []}),
        ("delete", {"id": "x"}),
        ("conditional-delete", {"parameters": (("outcome", "0"),)}),
        ("conditional-update", {"parameters": (("outcome", "0"),), "resource": {}}),
    ],
)
async def test_nobody_writes_the_trail(world: World, interaction: str, more: dict) -> None:
    with pytest.raises(MethodNotAllowed):
        await world.ask(interaction, "AuditEvent", **more)


@pytest.mark.check("AUD-7")
@pytest.mark.parametrize("bundle", ["batch", "transaction"])
async def test_nobody_writes_the_trail_through_a_bundle(world: World, bundle: str) -> None:
    await world.put(patient("p1"))
    id = (await world.events())[0]["id"]
    entry = {"request": {"method": "DELETE", "url": f"AuditEvent/{id}"}}
    body = {"resourceType": "Bundle", "type": bundle, "entry": [entry]}
    try:
        answer = await world.ask(bundle, resource=body)
        response = decode(answer.body or b"")["entry"][0]["response"]
        assert response["status"].startswith("405")
    except FhirError as error:
        assert bundle == "transaction"
        assert error.status in (405, 501)
    assert id in [item["id"] for item in await world.events()]


@pytest.mark.check("AUD-7")
@pytest.mark.parametrize("operation", ["$meta-add", "$expunge"])
async def test_nobody_changes_the_trail_by_an_operation(tmp_path, each_store, operation) -> None:
    async with opened(tmp_path, expunge=True) as world:
        await world.put(patient("p1"))
        id = (await world.events())[0]["id"]
        tag = {"system": "http://example.org", "code": "x"}
        sent = {
            "$expunge": [{"name": "expungeEverything", "valueBoolean": True}],
        }.get(operation, [{"name": "meta", "valueMeta": {"tag": [tag]}}])
        body = {"resourceType": "Parameters", "parameter": sent}
        with pytest.raises(FhirError) as refused:
            await world.ask(operation, "AuditEvent", id=id, resource=body)
        assert refused.value.status == 405
        assert id in [item["id"] for item in await world.events()]
        assert (await world.verified()).problems == []


async def test_a_patient_can_be_deleted_whom_events_name(world: World) -> None:
    await world.put(patient("p1"))
    await world.ask("read", "Patient", id="p1")
    await world.events()
    await world.ask("delete", "Patient", id="p1")


@pytest.mark.check("AUD-6")
@pytest.mark.check("OPS-10")
async def test_nothing_is_answered_that_cannot_be_recorded(world: World, monkeypatch) -> None:
    await world.put(patient("p1"))
    shelf = shelf_of(world)
    put = shelf.put
    monkeypatch.setattr(shelf, "put", fails)
    for ask in (
        world.ask("read", "Patient", id="p1"),
        world.ask("search-type", "Patient"),
        world.ask("read", "Patient", id="absent"),
    ):
        with pytest.raises(Unavailable):
            await ask
    monkeypatch.setattr(shelf, "put", put)
    await world.ask("read", "Patient", id="p1")
    assert (await world.verified()).problems == []


@pytest.mark.check("AUD-6")
async def test_a_write_that_cannot_be_recorded_says_so_and_is_recorded_later(
    world: World, monkeypatch
) -> None:
    await world.put(patient("p1"))
    shelf = shelf_of(world)
    put = shelf.put
    monkeypatch.setattr(shelf, "put", fails)
    with pytest.raises(Unavailable, match="The change was made"):
        await world.put(patient("p2"))
    with pytest.raises(Unavailable) as refused:  # and no other is made until it is on record
        await world.put(patient("p3"))
    assert "was made" not in refused.value.text
    with pytest.raises(Unavailable):
        await world.ask("read", "Patient", id="p2")
    assert (await world.running.store.read("Patient", "p2")) is not None
    assert (await world.running.store.read("Patient", "p3")) is None
    monkeypatch.setattr(shelf, "put", put)
    await world.put(patient("p3"))
    events = await world.events()
    told = [(about(item)[0], item["outcome"], item.get("outcomeDesc", "")) for item in events]
    assert told == [
        ("Patient/p1/_history/1", "0", ""),
        ("Patient/p2/_history/1", "0", "answered 503: it was made, and recorded later"),
        ("Patient/p3/_history/1", "0", ""),
    ]
    assert (await world.verified()).problems == []


@pytest.mark.check("AUD-6")
async def test_what_is_owed_is_recorded_at_the_end(tmp_path: Path, monkeypatch) -> None:
    async with opened(tmp_path) as world:
        await world.put(patient("p1"))
        shelf = shelf_of(world)
        put = shelf.put
        monkeypatch.setattr(shelf, "put", fails)
        with pytest.raises(Unavailable, match="The change was made"):
            await world.put(patient("p2"))
        monkeypatch.setattr(shelf, "put", put)
    async with opened(tmp_path) as world:
        assert [about(item)[0] for item in await world.events()] == [
            "Patient/p1/_history/1",
            "Patient/p2/_history/1",
        ]


@pytest.mark.check("AUD-6")
async def test_a_write_that_fails_after_it_was_made_is_recorded_as_both(
    world: World, monkeypatch
) -> None:
    def breaks(*args: object) -> bool:
        raise RuntimeError("after the commit")

    monkeypatch.setattr("fhirserver.interactions.dispatch.may_show", breaks)
    with pytest.raises(RuntimeError):
        await world.put(patient("p1"))
    events = await world.events()
    assert [(item["subtype"][0]["code"], item["outcome"]) for item in events] == [
        ("create", "0"),
        ("update", "12"),
    ]


async def test_what_is_answered_is_already_durable(world: World) -> None:
    """Another process would find it: the records are asked, not this one's memory."""
    await world.put(patient("p1"))
    await world.ask("read", "Patient", id="p1")
    assert (await world.verified()).events == 3  # with the start of the lane


async def test_who_is_no_auditor_does_not_see_what_was_searched_for(world: World) -> None:
    await world.put(patient("p1"))
    await world.ask("search-type", "Patient", parameters=(("name", "x"), ("_id", "p1")))
    await world.events()
    store = Masked(world.running.store)
    versions = [item async for item in store.scan("AuditEvent")]
    assert len(versions) == 3
    assert b"query" in b"".join(item.body or b"" for item in versions)
    assert b'"query":"' not in b"".join(item.body or b"" for item in versions)


@pytest.mark.parametrize("audit", ["on", "off"])
async def test_patients_see_who_looked_and_not_for_what(
    audit: str, tmp_path: Path, each_store: str
) -> None:
    async with opened(tmp_path) as world:
        await world.put(patient("p1"))
        await world.ask(
            "search-type", "Patient", parameters=(("gender:not", "male"), ("_id", "p1"))
        )
        await world.events()
    async with opened(tmp_path, audit=audit) as world:
        me = Principal("account-2", TENANT, ("patient",), fhir_user="Patient/p1")
        grant = world.running.access.grant_of(me)
        body = (await world.ask("search-type", "AuditEvent", grant=grant)).body or b""
    assert decode(body)["entry"]
    assert b"masked" in body
    assert b'"query":"' not in body


async def test_an_anonymous_refusal_is_not_recorded(world: World) -> None:
    async def fail() -> None:
        with pytest.raises(FhirError):
            await world.running.dispatch(
                Request("read", "http://x/fhir", "Patient", "p1", grant=Grant(""))
            )

    assert await world.new_events(fail) == []


def shelf_of(world: World) -> type[Shelf]:
    """What keeps what is recorded."""
    trail = world.running._trail
    assert trail is not None
    return type(trail._segments._shelf)


async def fails(*args: object, **more: object) -> None:
    raise Unavailable("the disk is full")


@pytest.mark.check("AUD-3")
async def test_an_id_that_is_none_is_told_as_it_was_asked(world: World) -> None:
    with pytest.raises(NotFound):
        await world.ask("read", "Patient", id='1"},"role":{"x\0')
    (event,) = await world.events()
    (query,) = [item["query"] for item in event["entity"] if "query" in item]
    assert b64decode(query) == b'Patient/1"},"role":{"x\0'


@pytest.mark.check("AUD-1")
async def test_a_read_of_a_transaction_is_recorded_once(world: World) -> None:
    await world.put(patient("p1"))
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"request": {"method": "PUT", "url": "Patient/p2"}, "resource": patient("p2")},
            {"request": {"method": "GET", "url": "Patient/p1"}},
        ],
    }

    async def do() -> None:
        answer = await world.ask("transaction", resource=bundle)
        assert answer.body is not None
        assert decode(answer.body)["entry"][1]["resource"]["id"] == "p1"

    events = await world.new_events(do)
    assert sorted(event["action"] for event in events) == ["C", "R"]


async def test_a_transaction_that_is_planned_again_reads_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its answer would have one resource as it was before another's commit, one as after."""
    await world.put(patient("p1"))
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"request": {"method": "PUT", "url": "Patient/p2"}, "resource": patient("p2")},
            {"request": {"method": "GET", "url": "Patient/p1"}},
        ],
    }
    carry_out = transaction.carry_out

    async def contended(context: Any, request: Any, plan: Any) -> Any:
        await plan()
        monkeypatch.setattr(transaction, "carry_out", carry_out)
        await world.put(patient("p1") | {"active": False})
        return await carry_out(context, request, plan)

    monkeypatch.setattr(transaction, "carry_out", contended)
    answer = await world.ask("transaction", resource=bundle)
    assert answer.body is not None
    assert decode(answer.body)["entry"][1]["resource"]["active"] is False
