"""history: https://hl7.org/fhir/R4/http.html#history."""

import asyncio

import pytest
from interactions.client import BASE, Client, link

from fhirserver.errors import Invalid, NotFound
from fhirserver.model.json import Resource

ANNA: Resource = {"resourceType": "Patient", "id": "anna", "active": True}


@pytest.fixture
async def past(client: Client) -> Client:
    """Anna: created, changed, deleted, back; and an observation that was posted."""
    await client.put(ANNA)
    await asyncio.sleep(0.005)
    await client.put(ANNA | {"active": False})
    await asyncio.sleep(0.005)
    await client.delete("Patient/anna")
    await asyncio.sleep(0.005)
    await client.put(ANNA)
    await asyncio.sleep(0.005)
    resource = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    await client.ask("POST", "Observation", resource=resource)
    return client


def story(history: Resource) -> list[tuple[str, str]]:
    """Method and version of each entry."""
    return [
        (item["request"]["method"], item["response"]["etag"]) for item in history.get("entry", ())
    ]


async def test_the_versions_of_an_instance_come_newest_first(past: Client) -> None:
    history = await past.get("Patient/anna/_history")
    assert (history["type"], history["total"]) == ("history", 4)
    assert story(history) == [
        ("PUT", 'W/"4"'),
        ("DELETE", 'W/"3"'),
        ("PUT", 'W/"2"'),
        ("PUT", 'W/"1"'),
    ]
    assert link(history, "self") == f"{BASE}/Patient/anna/_history"
    assert link(history, "next") is None
    newest, deleted, *_, first = history["entry"]
    assert newest["fullUrl"] == f"{BASE}/Patient/anna"
    assert newest["resource"] == await past.get("Patient/anna")
    assert newest["request"] == {"method": "PUT", "url": "Patient/anna"}
    assert newest["response"]["lastModified"] == newest["resource"]["meta"]["lastUpdated"]
    assert newest["response"]["status"] == "200 OK"
    assert "resource" not in deleted
    assert deleted["response"]["status"] == "204 No Content"
    assert first["response"]["status"] == "201 Created"


async def test_type_and_system_have_histories(past: Client) -> None:
    assert (await past.get("Patient/_history"))["total"] == 4
    history = await past.get("_history")
    assert history["total"] == 5
    assert history["entry"][0]["request"] == {"method": "POST", "url": "Observation"}
    assert (await past.get("Encounter/_history"))["total"] == 0


async def test_what_never_was_has_no_history(past: Client) -> None:
    with pytest.raises(NotFound):
        await past.get("Patient/nobody/_history")
    await past.delete("Patient/anna")
    assert (await past.get("Patient/anna/_history"))["total"] == 5


async def test_pages_go_on_where_the_last_one_ended_while_others_write(past: Client) -> None:
    seen = []
    url: str | None = "_history?_count=2"
    while url is not None:
        page = await past.get(url)
        assert page["total"] == 5
        seen += story(page)
        url = link(page, "next")
        await past.put(ANNA | {"active": len(seen) % 4 == 0})
    assert len(seen) == 5
    assert seen[0] == ("POST", 'W/"1"')
    assert seen[-1] == ("PUT", 'W/"1"')


async def test_every_page_can_be_had_again_by_its_own_link(past: Client) -> None:
    first = await past.get("_history?_count=2")
    second = await past.get(link(first, "next") or "")
    again = await past.get(link(second, "self") or "")
    assert story(again) == story(second)


async def test_links_tell_nothing_and_are_of_one_address(past: Client) -> None:
    next = link(await past.get("Patient/anna/_history?_count=1"), "next")
    assert next is not None
    token = next.partition("_cursor=")[2]
    for url in (
        f"Patient/_history?_cursor={token}",
        f"Patient?_cursor={token}",
        f"{next}&_count=9",
    ):
        with pytest.raises(Invalid):
            await past.get(url)


async def test_since_leaves_out_what_came_before(past: Client) -> None:
    deleted = (await past.get("Patient/anna/_history"))["entry"][1]
    since = deleted["response"]["lastModified"]
    history = await past.get(f"Patient/anna/_history?_since={since}")
    assert story(history) == [("PUT", 'W/"4"'), ("DELETE", 'W/"3"')]
    assert history["total"] == 2
    assert (await past.get("Patient/anna/_history?_since=2999"))["total"] == 0


async def test_at_gives_what_was_current_then(past: Client) -> None:
    second = (await past.get("Patient/anna/_history"))["entry"][2]
    at = second["response"]["lastModified"]
    history = await past.get(f"Patient/anna/_history?_at={at}")
    assert 'W/"2"' in [tag for _, tag in story(history)]
    assert 'W/"4"' not in [tag for _, tag in story(history)]
    assert (await past.get("Patient/anna/_history?_at=1999"))["total"] == 0
    assert (await past.get("Patient/anna/_history?_at=2000/"[:-1]))["total"] == 0


async def test_count_0_gives_the_total_alone(past: Client) -> None:
    history = await past.get("Patient/_history?_count=0")
    assert history["total"] == 4
    assert "entry" not in history
    assert link(history, "next") is None


async def test_count_is_bounded(past: Client) -> None:
    history = await past.get(f"Patient/_history?_count={'9' * 5000}")
    assert len(history["entry"]) == 4


@pytest.mark.parametrize(
    "query",
    [
        "_count=x",
        "_count=-1",
        "_count=1.5",
        "_count=٣",
        "_since=soon",
        "_at=2020-13",
        "name=a",
        "_count=1&_count=2",
        "_cursor=x",
        "_list=1",
    ],
)
async def test_what_is_no_parameter_of_history_is_refused(past: Client, query: str) -> None:
    with pytest.raises(Invalid):
        await past.get(f"Patient/_history?{query}")


async def test_lenient_handling_passes_over_unknown_parameters(past: Client) -> None:
    history = await past.get("Patient/_history?name=a&_count=1", handling="lenient")
    assert link(history, "self") == f"{BASE}/Patient/_history?_count=1"
    assert len(history["entry"]) == 1
