"""Referential integrity of single writes; deletions are in test_delete."""

from dataclasses import replace

import pytest
from interactions.client import BASE, Client

from fhirserver.errors import Unprocessable
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
    "url", ["Patient/nobody", f"{BASE}/Patient/nobody", "Patient/nobody/_history/1", "Patient/gone"]
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
