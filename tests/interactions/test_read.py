"""read and vread: https://hl7.org/fhir/R4/http.html#read, #vread, #cread."""

import pytest
from interactions.client import Client

from fhirserver.errors import Gone, Invalid, NotFound
from fhirserver.model.json import decode

ANNA = {"resourceType": "Patient", "id": "anna", "active": True, "gender": "female"}


@pytest.fixture
async def anna(client: Client) -> Client:
    """A patient of three versions, the last of which is a deletion of the second."""
    await client.put(ANNA, ANNA | {"active": False})
    return client


async def test_a_read_gives_the_current_version(anna: Client) -> None:
    answer = await anna.ask("GET", "Patient/anna")
    assert (answer.status, answer.type, answer.id, answer.version) == (200, "Patient", "anna", 2)
    assert answer.body is not None
    read = decode(answer.body)
    assert read["active"] is False
    assert read["meta"]["versionId"] == "2"
    assert answer.last_updated is not None


async def test_a_vread_gives_that_version(anna: Client) -> None:
    answer = await anna.ask("GET", "Patient/anna/_history/1")
    assert answer.version == 1
    assert answer.body is not None
    assert decode(answer.body)["active"] is True


async def test_what_never_was_is_not_found(anna: Client) -> None:
    with pytest.raises(NotFound) as error:
        await anna.ask("GET", "Patient/nobody")
    assert not isinstance(error.value, Gone)
    for version in ("3", "0", "-1", "01", "x", "9" * 30):
        with pytest.raises(NotFound):
            await anna.ask("GET", f"Patient/anna/_history/{version}")
    with pytest.raises(NotFound):
        await anna.ask("GET", "Observation/anna")


async def test_what_was_deleted_is_gone_and_tells_its_version(anna: Client) -> None:
    await anna.delete("Patient/anna")
    for url in ("Patient/anna", "Patient/anna/_history/3"):
        with pytest.raises(Gone) as error:
            await anna.ask("GET", url)
        assert error.value.headers == {"ETag": 'W/"3"'}
    assert (await anna.ask("GET", "Patient/anna/_history/2")).status == 200


@pytest.mark.parametrize(
    ("tag", "status"), [('W/"2"', 304), ('W/"1"', 200), ("*", 304), ('W/"1", W/"2"', 304)]
)
async def test_who_has_the_version_does_not_get_it_again(
    anna: Client, tag: str, status: int
) -> None:
    answer = await anna.ask("GET", "Patient/anna", if_none_match=tag)
    assert answer.status == status
    assert (answer.body is None) is (status == 304)
    assert answer.version == 2


async def test_if_modified_since_counts_by_the_second(anna: Client) -> None:
    now, then = "Sun, 06 Nov 2094 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"
    assert (await anna.ask("GET", "Patient/anna", if_modified_since=now)).status == 304
    assert (await anna.ask("GET", "Patient/anna", if_modified_since=then)).status == 200
    for text in ("", "yesterday", "2020-01-01", "Sun, 99 Nov 1994 08:49:37 GMT"):
        assert (await anna.ask("GET", "Patient/anna", if_modified_since=text)).status == 200
    both = await anna.ask("GET", "Patient/anna", if_modified_since=now, if_none_match='W/"1"')
    assert both.status == 200


async def test_a_part_can_be_asked_for(anna: Client) -> None:
    part = await anna.get("Patient/anna?_elements=gender")
    assert "active" not in part
    assert part["gender"] == "female"
    assert part["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert "active" not in await anna.get("Patient/anna?_summary=text")
    assert "active" in await anna.get("Patient/anna?_summary=false")
    assert "active" in await anna.get("Patient/anna/_history/1?_summary=true")


async def test_unknown_parameters_are_refused_unless_handling_is_lenient(anna: Client) -> None:
    for query in ("name=anna", "_summary=count", "_summary=no", "_summary=text&_summary=data"):
        with pytest.raises(Invalid):
            await anna.ask("GET", f"Patient/anna?{query}")
    answer = await anna.ask("GET", "Patient/anna?name=anna", handling="lenient")
    assert answer.status == 200
