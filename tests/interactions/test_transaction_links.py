"""Links between the entries of a transaction, as they are stored."""

import pytest
from interactions.bundles import address, entry, send, statuses, transaction
from interactions.client import BASE, Client

from fhirserver.errors import Invalid
from fhirserver.model.json import Json, Resource

P, Q = "urn:uuid:p", "urn:uuid:q"
NEW: Resource = {"resourceType": "Patient", "active": True}


def basic(subject: str, **more: Json) -> Resource:
    out: Resource = {"resourceType": "Basic", "code": {"text": "x"}}
    return out | {"subject": {"reference": subject}} | more


async def subjects(client: Client, *entries: Json) -> list[str]:
    """The subjects of all entries that have one, once the transaction has been done."""
    answers = await send(client, transaction(*entries))
    found = [await client.get(address(item)) for item in answers]
    return [item["subject"]["reference"] for item in found if "subject" in item]


async def test_resources_may_refer_to_each_other_and_to_themselves(client: Client) -> None:
    one, other = await send(
        client,
        transaction(
            entry(
                "POST",
                "Basic",
                basic(Q, extension=[{"url": "http://u", "valueReference": {"reference": P}}]),
                P,
            ),
            entry("POST", "Basic", basic(P), Q),
        ),
    )
    stored = await client.get(address(one))
    assert stored["subject"] == {"reference": address(other)}
    assert stored["extension"][0]["valueReference"] == {"reference": address(one)}
    found = await client.get(f"Basic?subject={address(other)}")
    assert found["total"] == 1  # the index knows the replaced link


async def test_an_id_that_was_sent_stands_for_the_resource_where_no_full_url_does(
    client: Client,
) -> None:
    made = entry("POST", "Patient", NEW | {"id": "tmp"})
    (found,) = await subjects(client, made, entry("POST", "Basic", basic("Patient/tmp")))
    assert found.startswith("Patient/new-")


async def test_links_below_another_server_are_followed(client: Client) -> None:
    there = "http://there.org/fhir"
    found = await subjects(
        client,
        entry("POST", "Patient", NEW, f"{there}/Patient/x"),
        entry("POST", "Basic", basic("Patient/x"), f"{there}/Basic/y"),
        entry("POST", "Basic", basic(f"{there}/Patient/x"), Q),
        entry("POST", "Basic", basic(f"{there}/Patient/z"), P),
        entry("PUT", "Patient/mine", NEW | {"id": "mine"}, f"{there}/Patient/mine"),
        entry("POST", "Basic", basic(f"{there}/Patient/mine")),
    )
    assert found[0] == found[1] != "Patient/x"
    assert found[2:] == [f"{there}/Patient/z", "Patient/mine"]


async def test_links_below_this_server_are_followed(client: Client) -> None:
    full_url = f"{BASE}/Patient/tmp"
    found = await subjects(
        client,
        entry("POST", "Patient", NEW, full_url),
        entry("POST", "Basic", basic("Patient/tmp"), Q),
        entry("POST", "Basic", basic(full_url), P),
    )
    assert found[0] == found[1]
    assert found[0].startswith("Patient/new-")


async def test_links_to_elsewhere_are_left(client: Client) -> None:
    others = ["urn:oid:1.2", "Patient/9", "http://elsewhere.org/fhir/Patient/9"]
    entries = [entry("POST", "Basic", basic(url)) for url in others]
    assert await subjects(client, *entries) == others


async def test_narratives_and_addresses_are_followed(client: Client) -> None:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{P}">x</a></div>'
    text = {"status": "generated", "div": div}
    attachment = {"url": "http://x", "valueAttachment": {"url": P}}
    binary = {"resourceType": "Binary", "contentType": "text/plain"}
    made, linked = await send(
        client,
        transaction(
            entry("POST", "Binary", binary, P),
            entry("POST", "Basic", basic("Patient/1", text=text, extension=[attachment])),
        ),
    )
    stored = await client.get(address(linked))
    assert stored["text"]["div"] == div.replace(P, address(made))
    assert stored["extension"][0]["valueAttachment"] == {"url": address(made)}


async def test_a_link_to_a_version_is_to_the_one_that_is_made(client: Client) -> None:
    await client.put(NEW | {"id": "anna"}, NEW | {"id": "same"})
    found = await subjects(
        client,
        entry("POST", "Patient", NEW, P),
        entry("PUT", "Patient/anna", NEW | {"id": "anna", "active": False}, f"{BASE}/Patient/anna"),
        entry("PUT", "Patient/same", NEW | {"id": "same"}, f"{BASE}/Patient/same"),
        entry("POST", "Basic", basic(f"{P}/_history/7"), Q),
        entry("POST", "Basic", basic("Patient/anna/_history/7")),
        entry("POST", "Basic", basic("Patient/same/_history/7")),
    )
    assert found[0].endswith("/_history/1")
    # Those are changed, and not changed, by this transaction.
    assert found[1:] == ["Patient/anna/_history/2", "Patient/same/_history/1"]


async def test_versions_agree_along_chains_of_links_to_versions(client: Client) -> None:
    def chain(subject: str, id: str) -> Json:
        return entry("PUT", f"Basic/{id}", basic(subject, id=id), f"{BASE}/Basic/{id}")

    entries = [
        entry("PUT", "Patient/p", NEW | {"id": "p"}, f"{BASE}/Patient/p"),
        chain("Patient/p/_history/1", "a"),
        chain("Basic/a/_history/1", "b"),
        chain("Basic/b/_history/1", "c"),
    ]
    first = await send(client, transaction(*entries))
    assert statuses(first) == ["201"] * 4
    again = await send(client, transaction(*reversed(entries)))
    assert [item["response"]["etag"] for item in again] == ['W/"1"'] * 4  # nothing changed
    entries[0]["resource"]["active"] = False
    changed = await send(client, transaction(*entries))
    assert [item["response"]["etag"] for item in changed] == ['W/"2"'] * 4
    assert (await client.get("Basic/c"))["subject"] == {"reference": "Basic/b/_history/2"}


async def test_a_reference_to_an_entry_that_is_not_there_is_refused(client: Client) -> None:
    lost = "urn:uuid:00000000-0000-4000-8000-000000000000"
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": lost},
    }
    with pytest.raises(Invalid, match=lost) as error:
        await send(client, transaction(entry("POST", "Observation", observation)))
    assert [issue.expression for issue in error.value.issues] == ["Bundle.entry[0]"]


async def test_a_bundle_that_is_stored_keeps_its_own_links(client: Client) -> None:
    document = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": "urn:uuid:one", "resource": {"resourceType": "Patient", "link": [
                {"other": {"reference": "urn:uuid:other"}, "type": "seealso"}]}}
        ],
    }  # fmt: skip
    answers = await send(client, transaction(entry("POST", "Bundle", document)))
    assert statuses(answers) == ["201"]
