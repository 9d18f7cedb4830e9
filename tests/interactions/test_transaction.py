"""transaction: https://hl7.org/fhir/R4/http.html#trules."""

from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from interactions.bundles import address, entry, send, statuses, transaction
from interactions.client import BASE, Client

from fhirserver.errors import (
    Conflict,
    FhirError,
    Forbidden,
    Gone,
    Invalid,
    MultipleMatches,
    NotFound,
    PreconditionFailed,
    TooLarge,
    Unprocessable,
)
from fhirserver.interactions.context import Policy
from fhirserver.model.json import Json, Resource, encode

ANNA: Resource = {"resourceType": "Patient", "id": "anna", "active": True}
NEW: Resource = {"resourceType": "Patient", "active": True}
P, Q = "urn:uuid:0c3e-p", "urn:uuid:0c3e-q"


BAD_PATCH: Resource = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": "delete"},
                {"name": "path", "valueString": "Patient.grow("},
            ],
        }
    ],
}


def known(value: str = "1", **more: Json) -> Resource:
    identifier = [{"system": "s", "value": value}]
    out: Resource = {"resourceType": "Patient", "identifier": identifier}
    return out | more


def observation(subject: str, **more: Json) -> Resource:
    out: Resource = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    return out | {"subject": {"reference": subject}} | more


async def refused(client: Client, kind: type[FhirError], *entries: Json) -> FhirError:
    """The refusal of a transaction, which has changed nothing."""
    before = await client.get("_history?_count=0")
    with pytest.raises(kind) as error:
        await send(client, transaction(*entries))
    assert (await client.get("_history?_count=0"))["total"] == before["total"]
    return error.value


def places(error: FhirError) -> list[str]:
    return [issue.expression for issue in error.issues]


async def test_all_kinds_of_entries_happen_together(client: Client) -> None:
    await client.put(ANNA, ANNA | {"id": "bert"}, ANNA | {"id": "cleo"})
    answers = await send(
        client,
        transaction(
            entry("GET", "Patient/anna"),
            entry("PUT", "Patient/anna", ANNA | {"active": False}, ifMatch='W/"1"'),
            entry("POST", "Patient", NEW),
            entry("DELETE", "Patient/bert"),
            entry("PATCH", "Patient/cleo", {"resourceType": "Parameters"}),
            entry("GET", "Patient?active=true"),
            entry("PUT", "Patient/dora", ANNA | {"id": "dora"}),
            entry("HEAD", "Patient/cleo"),
        ),
    )
    assert statuses(answers) == ["200", "200", "201", "204", "200", "200", "201", "200"]
    read, updated, created, deleted, patched, search, *_ = answers
    assert read["resource"]["active"] is False
    assert updated["response"]["etag"] == 'W/"2"'
    assert "resource" not in updated
    assert created["response"]["location"].endswith("/_history/1")
    assert deleted["response"]["etag"] == 'W/"2"'
    assert patched["response"]["etag"] == 'W/"1"'  # it changed nothing
    assert search["resource"]["total"] == 3
    moments = {item["response"]["lastModified"] for item in (updated, created, deleted)}
    assert len(moments) == 1


async def test_an_empty_transaction_is_fine(client: Client) -> None:
    assert await send(client, transaction()) == []


async def test_the_resource_is_given_to_whom_prefers_it(client: Client) -> None:
    (full,) = await send(
        client, transaction(entry("POST", "Patient", NEW)), prefer="representation"
    )
    assert full["resource"]["meta"]["versionId"] == "1"
    (told,) = await send(
        client, transaction(entry("POST", "Patient", NEW)), prefer="OperationOutcome"
    )
    assert told["response"]["outcome"]["issue"][0]["severity"] == "information"


# --- all or nothing -----------------------------------------------------------------------------


async def test_one_invalid_resource_refuses_all_with_every_finding(client: Client) -> None:
    error = await refused(
        client,
        Unprocessable,
        entry("POST", "Patient", NEW),
        entry("POST", "Patient", NEW | {"gendre": "x"}),
        entry("PUT", "Patient/anna", ANNA | {"birthDate": "soon"}),
    )
    assert places(error) == [
        "Bundle.entry[1].resource.gendre",
        "Bundle.entry[2].resource.birthDate",
    ]


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (entry("PUT", "Patient/anna", ANNA, ifMatch='W/"7"'), PreconditionFailed),
        (entry("PUT", "Patient/anna", ANNA, ifNoneMatch="*"), PreconditionFailed),
        (entry("DELETE", "Patient/anna", ifMatch='W/"7"'), PreconditionFailed),
        (entry("PUT", "Patient/anna", NEW), Invalid),
        (entry("PUT", "Patient/anna", observation("Patient/anna")), Invalid),
        (entry("PATCH", "Patient/nobody", []), Invalid),
        (entry("PATCH", "Patient/nobody", {"resourceType": "Parameters"}), NotFound),
        (entry("POST", "Patient", known(), ifNoneExist="identifier=s|2"), MultipleMatches),
        (entry("PUT", "Patient?identifier=s|2", known()), MultipleMatches),
        (entry("DELETE", "Patient?identifier=s|2"), MultipleMatches),
        (entry("DELETE", "Patient?nonsense=2"), Invalid),
        (entry("DELETE", "Patient"), Invalid),
        (entry("PUT", "Patient?active=true", known("3", id="zoe")), Invalid),
        (entry("POST", "Observation", observation("Patient?identifier=s|2")), MultipleMatches),
        (entry("POST", "Observation", observation("Patient?identifier=s|9")), PreconditionFailed),
        (entry("POST", "Observation", observation("Patient?_count=1")), Invalid),
        (entry("POST", "Observation", observation("Nothing?identifier=s|9")), Unprocessable),
        (entry("DELETE", "Patient/referred"), Conflict),
        (entry("GET", "Patient/nobody"), NotFound),
        (entry("GET", "Patient/gone"), Gone),
        (entry("GET", "Patient/anna/_history/9"), NotFound),
        (entry("GET", "Patient?nonsense=1"), Invalid),
        (entry("GET", "Nothing"), NotFound),
        (entry("POST", "Patient/anna", ANNA), FhirError),
        (entry("POST", "/", transaction()), Invalid),
        (entry("POST", "Patient/_search"), Invalid),
        ({"request": {"method": "DO", "url": "Patient"}}, FhirError),
        ({"resource": NEW}, FhirError),
        (entry("PUT", "Patient/anna", ANNA, ifNoneExist="active=true"), Invalid),
        (entry("PATCH", "Patient/anna", BAD_PATCH), Invalid),
    ],
)
async def test_one_refused_entry_refuses_all(
    client: Client, bad: Json, kind: type[FhirError]
) -> None:
    await client.put(ANNA, known("2", id="x"), known("2", id="y"), known("5", id="referred"))
    await client.put(observation("Patient/referred", id="o"), known("6", id="gone"))
    await client.delete("Patient/gone")
    good = entry("POST", "Patient", NEW), entry("PUT", "Patient/new", ANNA | {"id": "new"})
    error = await refused(client, kind, *good, bad)
    assert error.status < 500
    if kind is not Conflict:
        assert all(place.startswith("Bundle.entry[2]") for place in places(error))
        assert places(error)


async def test_a_malformed_bundle_is_refused(client: Client) -> None:
    for more in ({"entry": {}}, {"entries": []}, {"entry": [5]}, {"total": "x"}):
        with pytest.raises(FhirError):
            await send(client, {"resourceType": "Bundle", "type": "transaction"} | more)


async def test_a_transaction_has_a_limit(client: Client) -> None:
    small = Client(replace(client.context, policy=Policy(max_bundle_entries=2)))
    await send(small, transaction(*[entry("POST", "Patient", NEW)] * 2))
    with pytest.raises(TooLarge):
        await send(small, transaction(*[entry("POST", "Patient", NEW)] * 3))


# --- identities ---------------------------------------------------------------------------------

PUT_ANNA = entry("PUT", "Patient/anna", ANNA | {"active": False})


@pytest.mark.parametrize(
    "other",
    [
        PUT_ANNA,
        entry("DELETE", "Patient/anna"),
        entry("PATCH", "Patient/anna", {"resourceType": "Parameters"}),
        entry("PUT", "Patient?identifier=s|1", known()),
        entry("DELETE", "Patient?identifier=s|1"),
        entry("PATCH", "Patient?identifier=s|1", {"resourceType": "Parameters"}),
    ],
)
@pytest.mark.parametrize("first", [True, False])
async def test_a_resource_is_changed_once(client: Client, other: Json, first: bool) -> None:
    await client.put(known(id="anna"))
    error = await refused(client, Invalid, *([PUT_ANNA, other] if first else [other, PUT_ANNA]))
    assert "both act on Patient/anna" in error.text


async def test_a_full_url_stands_for_one_entry(client: Client) -> None:
    await refused(
        client, Unprocessable, entry("POST", "Patient", NEW, P), entry("POST", "Patient", NEW, P)
    )


async def test_what_is_deleted_is_not_there_for_conditions(client: Client) -> None:
    await client.put(known(id="old"))
    create = entry("POST", "Patient", known(), ifNoneExist="identifier=s|1")
    answers = await send(client, transaction(create, entry("DELETE", "Patient/old")))
    assert statuses(answers) == ["201", "204"]
    update = entry("PUT", "Patient?identifier=s|1", known(id="mine"))
    answers = await send(client, transaction(update, entry("DELETE", address(answers[0]))))
    assert statuses(answers) == ["201", "204"]
    assert (await client.get("Patient"))["total"] == 1


async def test_equal_creates_by_one_condition_make_one_resource(client: Client) -> None:
    create = entry("POST", "Patient", known(), P, ifNoneExist="identifier=s|1")
    again = entry("POST", "Patient", known(), Q, ifNoneExist="identifier=s%7C1")
    answers = await send(
        client,
        transaction(
            create,
            again,
            entry("POST", "Observation", observation(P)),
            entry("POST", "Observation", observation(Q)),
        ),
    )
    assert statuses(answers) == ["201"] * 4
    one, other, *observations = answers
    assert address(one) == address(other)
    for item in observations:
        assert (await client.get(address(item)))["subject"] == {"reference": address(one)}
    answers = await send(client, transaction(create, again))
    assert statuses(answers) == ["200", "200"]


@pytest.mark.parametrize(
    "other",
    [
        entry("POST", "Patient", known(active=True), ifNoneExist="identifier=s|1"),
        entry("POST", "Patient", known(active=True), ifNoneExist="identifier=s|1,s|2"),
        entry("POST", "Patient", known(active=True)),
        entry("PUT", "Patient/new", known(id="new")),
        entry("PUT", "Patient?identifier=s|1", known()),
        entry("PUT", "Patient?identifier=s|1,s|2", known()),
    ],
)
@pytest.mark.parametrize("first", [True, False])
async def test_what_a_condition_means_is_not_created_by_another_entry(
    client: Client, other: Json, first: bool
) -> None:
    create = entry("POST", "Patient", known(), ifNoneExist="identifier=s|1")
    await refused(client, Invalid, *([create, other] if first else [other, create]))


async def test_conditional_entries_act_on_their_match(client: Client) -> None:
    await client.put(known("1", id="one"), known("2", id="two"), known("3", id="three"))
    answers = await send(
        client,
        transaction(
            entry("POST", "Patient", known("1"), P, ifNoneExist="identifier=s|1"),
            entry("PUT", "Patient?identifier=s|2", known("2", active=True), Q),
            entry("DELETE", "Patient?identifier=s|3"),
            entry("DELETE", "Patient?identifier=s|4"),
            entry("POST", "Observation", observation(P, focus=[{"reference": Q}])),
        ),
    )
    assert statuses(answers) == ["200", "200", "204", "204", "201"]
    assert [address(item) for item in answers[:2]] == ["Patient/one", "Patient/two"]
    found = await client.get(address(answers[4]))
    assert found["subject"] == {"reference": "Patient/one"}
    assert found["focus"] == [{"reference": "Patient/two"}]
    assert (await client.ask("GET", "Patient/one")).version == 1


async def test_several_may_be_deleted_where_that_is_the_policy(client: Client) -> None:
    many = Client(replace(client.context, policy=Policy(conditional_delete="multiple")))
    await many.put(known("1", id="one"), known("1", id="two"))
    (deleted,) = await send(many, transaction(entry("DELETE", "Patient?identifier=s|1")))
    assert deleted == {"response": {"status": "204 No Content"}}
    assert await many.context.store.counts() == {}


async def test_deletions_have_a_limit_together(client: Client) -> None:
    policy = Policy(conditional_delete="multiple", max_bundle_entries=3)
    many = Client(replace(client.context, policy=policy))
    await many.put(*(known(str(number % 2), id=f"p{number}") for number in range(4)))
    entries = [entry("DELETE", f"Patient?identifier=s|{number}") for number in range(2)]
    await refused(many, Forbidden, *entries)
    assert statuses(await send(many, transaction(entries[0]))) == ["204"]


async def test_a_condition_may_name_another_entry(client: Client) -> None:
    await client.put(known(id="one"), observation("Patient/one", id="o"))
    answers = await send(
        client,
        transaction(
            entry("POST", "Observation", observation(P), ifNoneExist=f"subject={P}"),
            entry("POST", "Patient", known(), P, ifNoneExist="identifier=s|1"),
        ),
    )
    assert statuses(answers) == ["200", "200"]
    assert address(answers[0]) == "Observation/o"


async def test_conditions_that_name_each_other_are_refused(client: Client) -> None:
    one = entry("POST", "Observation", observation(P), Q, ifNoneExist=f"subject={P}")
    other = entry("POST", "Patient", known(), P, ifNoneExist=f"_has:Observation:subject:_id={Q}")
    await refused(client, Invalid, one, other)


# --- patches ------------------------------------------------------------------------------------


async def test_patches_come_as_binary_or_as_parameters(client: Client) -> None:
    await client.put(ANNA, known(id="bert"))
    operations = [{"op": "replace", "path": "/active", "value": False}]
    binary = {
        "resourceType": "Binary",
        "contentType": "application/json-patch+json",
        "data": b64encode(encode(operations)).decode(),
    }
    link: Json = {"other": {"reference": P}, "type": "seealso"}
    parts: list[Json] = [{"name": "other", "valueReference": link["other"]}]
    parts.append({"name": "type", "valueCode": "seealso"})
    add = {
        "name": "operation",
        "part": [
            {"name": "type", "valueCode": "add"},
            {"name": "path", "valueString": "Patient"},
            {"name": "name", "valueString": "link"},
            {"name": "value", "part": parts},
        ],
    }
    parameters = {"resourceType": "Parameters", "parameter": [add]}
    answers = await send(
        client,
        transaction(
            entry("PATCH", "Patient/anna", binary),
            entry("PATCH", "Patient?identifier=s|1", parameters),
            entry("POST", "Patient", NEW, P),
        ),
    )
    assert statuses(answers) == ["200", "200", "201"]
    assert (await client.get("Patient/anna"))["active"] is False
    (linked,) = (await client.get("Patient/bert"))["link"]
    assert linked["other"] == {"reference": address(answers[2])}


@pytest.mark.parametrize(
    "binary",
    [
        {"contentType": "text/plain", "data": "W10="},
        {"contentType": "application/json-patch+json", "data": "W10"},
        {"contentType": "application/json-patch+json", "data": "eHh4"},
        {"contentType": "application/json-patch+json"},
        {"contentType": "application/xml-patch+xml", "data": "eHh4"},
        {"contentType": "application/xml-patch+xml"},
        {"contentType": "application/fhir+xml", "data": "eHh4"},
    ],
)
async def test_a_patch_that_cannot_be_read_is_refused(client: Client, binary: Json) -> None:
    await client.put(ANNA)
    patch = entry("PATCH", "Patient/anna", {"resourceType": "Binary"} | binary)
    error = await refused(client, FhirError, patch)
    assert 400 <= error.status < 500


# --- integrity ----------------------------------------------------------------------------------


async def test_a_patient_goes_together_with_what_refers_to_it(client: Client) -> None:
    await client.put(ANNA, observation("Patient/anna", id="o"), ANNA | {"id": "bert"})
    await client.put(observation("Patient/anna", id="p"))
    drop, move = entry("DELETE", "Observation/o"), observation("Patient/bert", id="p")
    await refused(client, Conflict, entry("DELETE", "Patient/anna"), drop)
    answers = await send(
        client,
        transaction(entry("DELETE", "Patient/anna"), drop, entry("PUT", "Observation/p", move)),
    )
    assert statuses(answers) == ["204", "204", "200"]


async def test_what_is_deleted_cannot_be_referred_to_anew(client: Client) -> None:
    await client.put(ANNA)
    create = entry("POST", "Observation", observation("Patient/anna"))
    await refused(client, Conflict, create, entry("DELETE", "Patient/anna"))


async def test_links_can_be_demanded_to_lead_somewhere(client: Client) -> None:
    strict = Client(replace(client.context, policy=Policy(integrity_on_write=True)))
    await strict.put(ANNA)
    error = await refused(
        strict,
        Unprocessable,
        entry("POST", "Patient", NEW, P),
        entry("POST", "Observation", observation(P, focus=[{"reference": "Patient/nobody"}])),
    )
    assert places(error) == ["Bundle.entry[1].resource.focus[0].reference"]
    answers = await send(
        strict,
        transaction(
            entry("POST", "Patient", NEW, P),
            entry("POST", "Observation", observation(P, focus=[{"reference": "Patient/anna"}])),
        ),
    )
    assert statuses(answers) == ["201", "201"]


# --- conditional references -----------------------------------------------------------------------


async def test_a_conditional_reference_finds_what_is_stored(client: Client) -> None:
    await client.put(known(id="one"))
    (created,) = await send(
        client,
        transaction(entry("POST", "Observation", observation("Patient?identifier=s%7C1"))),
    )
    assert (await client.get(address(created)))["subject"] == {"reference": "Patient/one"}


async def test_a_conditional_reference_finds_what_the_transaction_makes(client: Client) -> None:
    await client.put(known("2", id="changed"), known("3", id="gone"))
    created, _, _, *observations = await send(
        client,
        transaction(
            entry("POST", "Patient", known("1")),
            entry("PUT", "Patient/changed", known("3", id="changed")),
            entry("DELETE", "Patient/gone"),
            entry("POST", "Observation", observation("Patient?identifier=s|1")),
            entry("POST", "Observation", observation("Patient?identifier=s|3")),
        ),
    )
    subjects = [(await client.get(address(item)))["subject"] for item in observations]
    assert subjects == [{"reference": address(created)}, {"reference": "Patient/changed"}]
    nothing = entry("POST", "Observation", observation("Patient?identifier=s|2"))
    await refused(client, PreconditionFailed, nothing)
    await refused(
        client,
        MultipleMatches,
        entry("POST", "Patient", known("1")),
        entry("POST", "Observation", observation("Patient?identifier=s|1")),
    )


# --- reads --------------------------------------------------------------------------------------


async def test_reads_see_what_the_transaction_did(client: Client) -> None:
    await client.put(known(id="one"))
    answers = await send(
        client,
        transaction(
            entry("GET", "Patient/two"),
            entry("GET", "Patient/two/_history/1"),
            entry("GET", "Patient/one/_history"),
            entry("PUT", "Patient/two", known(id="two")),
            entry("DELETE", "Patient/one"),
            entry("GET", "Patient?identifier=s|1"),
        ),
    )
    assert statuses(answers) == ["200", "200", "200", "201", "204", "200"]
    assert answers[2]["resource"]["total"] == 2
    assert answers[5]["resource"]["total"] == 1


async def test_a_read_of_what_the_transaction_deletes_refuses_it(client: Client) -> None:
    await client.put(ANNA)
    await refused(client, Gone, entry("GET", "Patient/anna"), entry("DELETE", "Patient/anna"))


async def test_only_reads_are_a_transaction_too(client: Client) -> None:
    await client.put(ANNA)
    bundle = transaction(entry("GET", "Patient/anna"), entry("GET", f"{BASE}/Patient"))
    assert statuses(await send(client, bundle)) == ["200", "200"]


async def test_a_no_op_makes_no_version(client: Client) -> None:
    await client.put(ANNA)
    kept, made = await send(
        client, transaction(entry("PUT", "Patient/anna", ANNA), entry("POST", "Patient", NEW))
    )
    assert (kept["response"]["status"], kept["response"]["etag"]) == ("200 OK", 'W/"1"')
    assert made["response"]["lastModified"] >= kept["response"]["lastModified"]


async def test_handling_goes_for_every_entry(client: Client) -> None:
    bundle = transaction(entry("GET", "Patient?nonsense=1"), entry("POST", "Patient", NEW))
    lenient: dict[str, Any] = {"handling": "lenient"}
    assert statuses(await send(client, bundle, **lenient)) == ["200", "201"]
