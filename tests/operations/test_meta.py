"""$meta, $meta-add and $meta-delete."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interactions.client import Client

from fhirserver.errors import Gone, Invalid, MethodNotAllowed, NotFound, PreconditionFailed
from fhirserver.model.json import Resource
from fhirserver.operations.labels import added, removed

RED = {"system": "http://example.org/tags", "code": "red"}
BLUE = {"system": "http://example.org/tags", "code": "blue", "display": "Blue"}
PROFILE = "http://example.org/StructureDefinition/p"


def sent(**meta: object) -> Resource:
    return {"name": "meta", "valueMeta": meta}


def returned(parameters: Resource) -> Resource:
    (out,) = parameters["parameter"]
    assert out["name"] == "return"
    found: Resource = out["valueMeta"]
    return found


async def test_the_meta_of_a_resource_is_that_of_reading_it(client: Client) -> None:
    await client.put({"resourceType": "Patient", "id": "a", "meta": {"tag": [RED]}})
    patient = await client.get("Patient/a")
    assert returned(await client.get("Patient/a/$meta")) == patient["meta"]


async def test_the_meta_of_a_type_and_of_all_are_the_labels_in_use(client: Client) -> None:
    await client.put(
        {"resourceType": "Patient", "id": "a", "meta": {"tag": [RED]}},
        {"resourceType": "Patient", "id": "b", "meta": {"tag": [RED, BLUE]}},
        {"resourceType": "Basic", "id": "c", "code": {"text": "x"}, "meta": {"profile": [PROFILE]}},
    )
    assert returned(await client.get("Patient/$meta")) == {"tag": [RED, BLUE]}
    assert returned(await client.get("$meta")) == {"profile": [PROFILE], "tag": [RED, BLUE]}


async def test_labels_are_added_once_in_a_new_version(client: Client) -> None:
    await client.put({"resourceType": "Patient", "id": "a", "meta": {"tag": [RED]}})
    again = RED | {"display": "Red", "version": "2"}
    meta = returned(await client.call("Patient/a/$meta-add", sent(tag=[again, BLUE])))
    assert (meta["tag"], meta["versionId"]) == ([RED, BLUE], "2")
    assert (await client.get("Patient?_tag=blue"))["total"] == 1
    meta = returned(await client.call("Patient/a/$meta-add", sent(tag=[BLUE])))
    assert meta["versionId"] == "2"
    assert "tag" in (await client.get("Patient/a/_history/1"))["meta"]


async def test_labels_are_taken_away(client: Client) -> None:
    labels = {"tag": [RED, BLUE], "profile": [PROFILE]}
    await client.put({"resourceType": "Patient", "id": "a", "meta": labels})
    less = sent(tag=[{"system": RED["system"], "code": "red"}], profile=[PROFILE])
    meta = returned(await client.call("Patient/a/$meta-delete", less))
    assert meta["tag"] == [BLUE]
    assert "profile" not in meta
    assert (await client.get("Patient?_tag=red"))["total"] == 0


async def test_what_is_not_there_has_no_meta(client: Client) -> None:
    await client.put({"resourceType": "Patient", "id": "a"})
    await client.delete("Patient/a")
    with pytest.raises(NotFound):
        await client.get("Patient/b/$meta")
    with pytest.raises(Gone):
        await client.call("Patient/a/$meta-add", sent(tag=[RED]))


async def test_if_match_is_heeded(client: Client) -> None:
    await client.put({"resourceType": "Patient", "id": "a"})
    with pytest.raises(PreconditionFailed):
        await client.call("Patient/a/$meta-add", sent(tag=[RED]), if_match='W/"7"')


@pytest.mark.parametrize(
    "parameters",
    [
        [],
        [sent(tag=[RED]), sent(tag=[BLUE])],
        [{"name": "meta", "valueString": "red"}],
        [{"name": "other", "valueMeta": {}}],
        [sent(tag="red")],
        ["meta"],
        [{"valueMeta": {}}],
        [sent(nonsense=1)],
    ],
)
async def test_odd_parameters_are_refused(client: Client, parameters: list[Resource]) -> None:
    await client.put({"resourceType": "Patient", "id": "a"})
    with pytest.raises(Invalid):
        await client.call("Patient/a/$meta-add", *parameters)


async def test_to_add_is_not_to_read(client: Client) -> None:
    with pytest.raises(MethodNotAllowed):
        await client.get("Patient/a/$meta-add")


CODINGS = st.lists(
    st.fixed_dictionaries({"code": st.sampled_from("abc")}, optional={"system": st.just("s")})
)
METAS = st.fixed_dictionaries({}, optional={"tag": CODINGS, "security": CODINGS})


@given(METAS, METAS)
def test_what_was_added_can_be_taken_away(meta: Resource, more: Resource) -> None:
    after = added(meta, more)
    assert added(after, more) == after
    assert removed(after, more) == removed(meta, more)
    gone = removed(after, more)
    assert removed(gone, more) == gone
