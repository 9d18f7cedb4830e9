"""Referential integrity of single writes; deletions are in test_delete."""

from dataclasses import replace

import pytest
from interactions.client import BASE, Client

from fhirserver.errors import Conflict, Unprocessable
from fhirserver.interactions.context import Policy
from fhirserver.interactions.integrity import selection
from fhirserver.model.json import Resource
from fhirserver.search.match import Document, match
from fhirserver.store.port import Key

ANNA: Resource = {"resourceType": "Patient", "id": "anna"}


def basic(*references: str) -> Resource:
    extension = [{"url": "http://x", "valueReference": {"reference": url}} for url in references]
    return {"resourceType": "Basic", "id": "b", "code": {"text": "x"}, "extension": extension}


@pytest.fixture
def strict(client: Client) -> Client:
    return Client(replace(client.context, policy=Policy(integrity_on_write=True)))


async def test_links_may_lead_nowhere_unless_that_is_demanded(client: Client) -> None:
    assert (await client.ask("POST", "Basic", resource=basic("Patient/nobody"))).status == 201


@pytest.mark.parametrize(
    "url",
    [
        "Patient/nobody",
        f"{BASE}/Patient/nobody",
        "Patient/nobody/_history/1",
        "Patient/gone",
        "Patient/gone/_history/2",  # the deletion itself
        "Patient/gone/_history/3",
        "Patient/gone/_history/one",
        f"{BASE}/Patient/gone/_history/01",
        f"Patient/gone/_history/{'9' * 40}",
    ],
)
async def test_links_to_this_server_must_lead_somewhere(strict: Client, url: str) -> None:
    await strict.put(ANNA | {"id": "gone"})
    await strict.delete("Patient/gone")
    with pytest.raises(Unprocessable) as error:
        await strict.ask("PUT", "Basic/b", resource=basic("#", url))
    (issue,) = error.value.issues
    assert issue.expression == "Basic.extension[1].valueReference.reference"


async def test_other_links_are_not_looked_after(strict: Client) -> None:
    await strict.put(ANNA)
    others = [
        "Patient/anna",
        f"{BASE}/Patient/anna",
        "Patient/anna/_history/1",
        "http://elsewhere.org/fhir/Patient/nobody",
        "urn:uuid:nobody",
        "Nothing/1",
        "Basic/b",
    ]
    assert (await strict.ask("PUT", "Basic/b", resource=basic(*others))).status == 201
    assert (await strict.ask("PUT", "Basic/b", resource=basic(*others, "#"))).status == 200


async def test_a_version_can_be_referred_to_after_a_later_deletion(strict: Client) -> None:
    await strict.put(ANNA | {"id": "gone"})
    await strict.delete("Patient/gone")
    url = "Patient/gone/_history/1"
    assert (await strict.ask("PUT", "Basic/b", resource=basic(url))).status == 201
    stored = await strict.get("Basic/b")
    assert stored["extension"][0]["valueReference"]["reference"] == url


async def test_a_reference_to_a_version_keeps_its_resource_from_deletion(client: Client) -> None:
    await client.put(ANNA, basic("Patient/anna/_history/1"))
    with pytest.raises(Conflict, match="Basic/b"):
        await client.delete("Patient/anna")


async def test_a_reference_may_name_the_version_that_the_same_write_makes(strict: Client) -> None:
    assert (await strict.ask("PUT", "Basic/b", resource=basic("Basic/b/_history/1"))).status == 201
    with pytest.raises(Unprocessable):
        await strict.ask("PUT", "Basic/b", resource=basic("Basic/b/_history/3"))


def test_a_selection_is_of_exactly_those_keys() -> None:
    chosen = selection([Key("Patient", "1"), Key("Patient", "2"), Key("Group", "1")])
    for type, id, expected in (
        ("Patient", "1", True),
        ("Patient", "2", True),
        ("Group", "1", True),
        ("Group", "2", False),
        ("Basic", "1", False),
    ):
        assert match(chosen, Document(type, id, 0)) is expected
    assert not match(selection([]), Document("Patient", "1", 0))
