"""Every claim of the CapabilityStatement, called on a real store.

The statement is the only thing that these tests read to know what to call. A claim that they
do not know how to call fails them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from interactions.client import Client, ids, open_context
from serving import client as serving
from strategies.smallest import sound

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import (
    FhirError,
    Invalid,
    MultipleMatches,
    NotFound,
    PreconditionFailed,
)
from fhirserver.interactions.capabilities import statement
from fhirserver.interactions.context import Context, Policy
from fhirserver.model.json import Json, Resource, decode, encode
from fhirserver.operations.table import OPERATIONS, TERMINOLOGY, offered
from fhirserver.search.index import Indexer
from fhirserver.store.concepts import NO_CONCEPTS
from fhirserver.xml import from_xml, to_xml

pytestmark = pytest.mark.conformance


@pytest.fixture
async def context(tmp_path: Path, each_store: str) -> AsyncIterator[Context]:
    async with open_context(tmp_path / "fhir.db") as context:
        yield context


@pytest.fixture
def client(context: Context) -> Client:
    rows = offered(
        expunges=True, terminology=keeps_concepts(context), emergencies=False, imaging=False
    )
    return Client(context, rows)


def keeps_concepts(context: Context) -> bool:
    return context.concepts is not NO_CONCEPTS


@pytest.fixture(scope="module")
def rest() -> Resource:
    (found,) = statement(packaged(), Indexer(packaged(), "all"), Policy())["rest"]
    return found


async def served(client: Client) -> Resource:
    (found,) = (await client.get("metadata"))["rest"]
    return found


# --- interactions of a type -----------------------------------------------------------------


async def create(client: Client, resource: Resource) -> str:
    """`Type/id` of a new resource."""
    answer = await client.ask("POST", resource["resourceType"], resource=resource)
    assert answer.status == 201
    return f"{answer.type}/{answer.id}"


async def claim_create(client: Client, resource: Resource, url: str) -> None:
    await create(client, resource)


async def claim_read(client: Client, resource: Resource, url: str) -> None:
    found = await client.get(url)
    assert {name: found[name] for name in resource} == resource


async def claim_vread(client: Client, resource: Resource, url: str) -> None:
    assert await client.get(f"{url}/_history/1") == await client.get(url)


async def claim_update(client: Client, resource: Resource, url: str) -> None:
    changed = resource | {"id": url.partition("/")[2], "language": "de"}
    answer = await client.ask("PUT", url, resource=changed)
    assert (answer.status, answer.version) == (200, 2)


async def claim_patch(client: Client, resource: Resource, url: str) -> None:
    for patch, language in patches(resource["resourceType"]):
        answer = await client.ask("PATCH", url, patch=patch)
        assert answer.status == 200
        assert (await client.get(url))["language"] == language


def patches(type: str) -> list[tuple[Json | bytes, str]]:
    """A JSON Patch, a FHIRPath Patch and an XML Patch, and the language that each sets."""
    operation = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": f"{type}.language"},
        {"name": "value", "valueCode": "es"},
    ]
    return [
        ([{"op": "add", "path": "/language", "value": "fr"}], "fr"),
        (
            {
                "resourceType": "Parameters",
                "parameter": [{"name": "operation", "part": operation}],
            },
            "es",
        ),
        (b'<diff><replace sel="f:%s/f:language/@value">it</replace></diff>' % type.encode(), "it"),
    ]


async def claim_history_instance(client: Client, resource: Resource, url: str) -> None:
    assert (await client.get(f"{url}/_history"))["total"] >= 1


async def claim_history_type(client: Client, resource: Resource, url: str) -> None:
    assert (await client.get(f"{resource['resourceType']}/_history"))["total"] >= 1


async def claim_search_type(client: Client, resource: Resource, url: str) -> None:
    type, _, id = url.partition("/")
    assert ids(await client.get(f"{type}?_id={id}")) == [url]
    answer = await client.ask("POST", f"{type}/_search?_id={id}")
    assert answer.status == 200


async def claim_delete(client: Client, resource: Resource, url: str) -> None:
    assert (await client.ask("DELETE", url)).status in (200, 204)
    with pytest.raises(FhirError):
        await client.get(url)


CLAIMS: dict[str, Callable[[Client, Resource, str], Awaitable[None]]] = {
    "create": claim_create,
    "read": claim_read,
    "vread": claim_vread,
    "search-type": claim_search_type,
    "update": claim_update,
    "patch": claim_patch,
    "history-instance": claim_history_instance,
    "history-type": claim_history_type,
    "delete": claim_delete,
}  # in an order in which one resource can go through them


@pytest.mark.slow_on_mongodb
async def test_every_interaction_of_every_type(client: Client) -> None:
    stated = (await served(client))["resource"]
    assert len(stated) == 146
    for item in stated:
        resource = sound(packaged(), item["type"])
        url = await create(client, resource)
        codes = {interaction["code"] for interaction in item["interaction"]}
        assert codes <= set(CLAIMS)
        for code, call in CLAIMS.items():
            if code in codes:
                await call(client, resource, url)


async def test_every_interaction_of_the_system(client: Client) -> None:
    await client.put({"resourceType": "Patient", "id": "a"})
    calls = {
        "search-system": lambda: client.get("?_id=a"),
        "history-system": lambda: client.get("_history"),
        "batch": lambda: client.ask("POST", "", resource=bundle("batch")),
        "transaction": lambda: client.ask("POST", "", resource=bundle("transaction")),
    }
    for interaction in (await served(client))["interaction"]:
        await calls[interaction["code"]]()


def bundle(type: str) -> Resource:
    request = {"method": "GET", "url": "Patient/a"}
    return {"resourceType": "Bundle", "type": type, "entry": [{"request": request}]}


# --- operations -----------------------------------------------------------------------------

META: Resource = {"name": "meta", "valueMeta": {"tag": [{"code": "added"}]}}


def reference(name: str, id: str) -> Resource:
    return {"name": name, "valueReference": {"reference": f"Patient/{id}"}}


async def call_meta(client: Client, url: str) -> None:
    assert (await client.get(f"{url}/$meta"))["parameter"][0]["name"] == "return"
    assert (await client.get(f"{url.partition('/')[0]}/$meta"))["parameter"]


async def call_meta_add(client: Client, url: str) -> None:
    await client.call(f"{url}/$meta-add", META)
    assert (await client.get(url))["meta"]["tag"] == [{"code": "added"}]


async def call_meta_delete(client: Client, url: str) -> None:
    await client.call(f"{url}/$meta-delete", META)
    assert "tag" not in (await client.get(url))["meta"]


async def call_validate(client: Client, url: str) -> None:
    sent = {"name": "resource", "resource": await client.get(url)}
    for address in (url, url.partition("/")[0]):
        found = await client.call(f"{address}/$validate", sent)
        errors = {item["code"] for item in found["issue"] if item["severity"] == "error"}
        assert errors <= {"invariant", "code-invalid"}


async def call_graphql(client: Client, url: str) -> None:
    found = await client.get(f"{url}/$graphql?query={{id}}")
    assert found == {"data": {"id": url.partition("/")[2]}}


async def call_everything(client: Client, url: str) -> None:
    assert url in ids(await client.get(f"{url}/$everything"))


async def call_match(client: Client, url: str) -> None:
    person = {"resourceType": "Patient", "identifier": [{"value": "1"}]}
    found = await client.call("Patient/$match", {"name": "resource", "resource": person})
    assert found["type"] == "searchset"


async def call_merge(client: Client, url: str) -> None:
    await client.put(*({"resourceType": "Patient", "id": id} for id in ("source", "target")))
    sides = (reference("source-patient", "source"), reference("target-patient", "target"))
    await client.call("Patient/$merge", *sides)
    assert (await client.get("Patient/source"))["active"] is False


async def call_lastn(client: Client, url: str) -> None:
    assert (await client.get("Observation/$lastn?subject=Patient/a&code=a"))["total"] == 0


async def call_stats(client: Client, url: str) -> None:
    query = "subject=Patient/a&code=a&statistic=count"
    assert (await client.get(f"Observation/$stats?{query}"))["parameter"]


async def call_document(client: Client, url: str) -> None:
    await client.put(*({"resourceType": type, "id": "a"} for type in ("Patient", "Practitioner")))
    written = sound(packaged(), "Composition") | {
        "subject": {"reference": "Patient/a"},
        "author": [{"reference": "Practitioner/a"}],
    }
    made = await create(client, written)
    for address in (f"{made}/$document", f"Composition/$document?id={made}"):
        assert (await client.get(address))["type"] == "document"


COLOURS = {
    "resourceType": "CodeSystem",
    "url": "http://example.org/colours",
    "status": "active",
    "content": "complete",
    "concept": [{"code": "red", "concept": [{"code": "pink"}]}],
}


async def call_lookup(client: Client, url: str) -> None:
    await create(client, COLOURS)
    assert (await client.get("CodeSystem/$lookup?system=http://example.org/colours&code=red"))[
        "parameter"
    ]


async def call_subsumes(client: Client, url: str) -> None:
    for address in (await create(client, COLOURS), "CodeSystem"):
        system = "" if "/" in address else "&system=http://example.org/colours"
        found = await client.get(f"{address}/$subsumes?codeA=red&codeB=pink{system}")
        assert found["parameter"][0]["valueCode"] == "subsumes"


async def call_find_matches(client: Client, url: str) -> None:
    part = [{"name": "code", "valueCode": "code"}, {"name": "value", "valueCode": "pink"}]
    asked = ({"name": "property", "part": part}, {"name": "exact", "valueBoolean": True})
    system = {"name": "system", "valueUri": "http://example.org/colours"}
    made = await create(client, COLOURS)
    assert (await client.call(f"{made}/$find-matches", *asked))["parameter"]
    assert (await client.call("CodeSystem/$find-matches", *asked, system))["parameter"]


async def call_validate_code(client: Client, url: str) -> None:
    made = await create(client, COLOURS)
    if url.startswith("CodeSystem"):
        addresses = [f"{made}/$validate-code?", f"CodeSystem/$validate-code?url={COLOURS['url']}&"]
    else:
        made = await create(client, reds())
        asked = f"system={COLOURS['url']}&"
        addresses = [
            f"{made}/$validate-code?{asked}",
            f"ValueSet/$validate-code?url=http://example.org/reds&{asked}",
        ]
    for address in addresses:
        found = await client.get(f"{address}code=pink")
        assert {"name": "result", "valueBoolean": True} in found["parameter"]


def reds() -> Resource:
    return {
        "resourceType": "ValueSet",
        "url": "http://example.org/reds",
        "status": "active",
        "compose": {"include": [{"system": COLOURS["url"]}]},
    }


async def call_expand(client: Client, url: str) -> None:
    await create(client, COLOURS)
    made = await create(client, reds())
    for address in (f"{made}/$expand", "ValueSet/$expand?url=http://example.org/reds"):
        assert (await client.get(address))["expansion"]["total"] == 2


async def call_translate(client: Client, url: str) -> None:
    group = {
        "source": "http://a",
        "target": "http://b",
        "element": [{"code": "1", "target": [{"code": "2", "equivalence": "equal"}]}],
    }
    made = await create(
        client, {"resourceType": "ConceptMap", "status": "active", "group": [group]}
    )
    for address in (made, "ConceptMap"):
        found = await client.get(
            f"{address}/$translate?system=http://a&code=1&targetsystem=http://b"
        )
        assert {"name": "result", "valueBoolean": True} in found["parameter"]


async def call_expunge(client: Client, url: str) -> None:
    previous = {"name": "expungePreviousVersions", "valueBoolean": True}
    for address in (url, url.partition("/")[0]):
        await client.call(f"{address}/$expunge", previous)
    assert (await client.get(f"{url}/_history"))["total"] == 1


async def call_reindex(client: Client, url: str) -> None:
    assert (await client.call(f"{url}/$reindex"))["issue"][0]["severity"] == "information"
    await queue_reindex(client, f"{url.partition('/')[0]}/$reindex")


async def queue_reindex(client: Client, url: str) -> None:
    """Starts the job, and asks for its state where the answer says."""
    accepted = await client.ask("POST", url, resource={"resourceType": "Parameters"})
    assert accepted.status == 202
    assert (await client.ask("GET", accepted.headers["Content-Location"])).status == 202


async def call_snapshot(client: Client, url: str) -> None:
    definition = {
        "resourceType": "StructureDefinition",
        "url": "http://example.org/p",
        "name": "P",
        "status": "draft",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
    }
    sent = {"name": "definition", "resource": definition}
    found = await client.call("StructureDefinition/$snapshot", sent)
    assert found["snapshot"]["element"]


OPERATION_CALLS: dict[str, Callable[[Client, str], Awaitable[None]]] = {
    "meta": call_meta,
    "meta-add": call_meta_add,
    "meta-delete": call_meta_delete,
    "validate": call_validate,
    "expunge": call_expunge,
    "graphql": call_graphql,
    "everything": call_everything,
    "match": call_match,
    "merge": call_merge,
    "lastn": call_lastn,
    "stats": call_stats,
    "document": call_document,
    "snapshot": call_snapshot,
    "reindex": call_reindex,
    "lookup": call_lookup,
    "subsumes": call_subsumes,
    "find-matches": call_find_matches,
    "validate-code": call_validate_code,
    "expand": call_expand,
    "translate": call_translate,
}


async def test_every_operation_of_every_type(client: Client) -> None:
    called = set()
    for item in (await served(client))["resource"]:
        url = await create(client, sound(packaged(), item["type"]))
        for stated in item["operation"]:
            definition = packaged().operation(stated["definition"])
            assert definition is not None
            assert definition.code == stated["name"]
            await OPERATION_CALLS[stated["name"]](client, url)
            called.add(stated["name"])
    needless = set() if keeps_concepts(client.context) else {row.code for row in TERMINOLOGY}
    assert called == set(OPERATION_CALLS) - needless


async def test_every_operation_of_the_system(client: Client) -> None:
    calls = {
        "meta": "$meta",
        "graphql": "$graphql?query={PatientList{id}}",
        "versions": "$versions",
        "closure": "$closure?name=mine",
    }
    deleted = {"name": "expungeDeletedResources", "valueBoolean": True}
    for stated in (await served(client))["operation"]:
        if stated["name"] == "expunge":
            assert await client.call("$expunge", deleted)
        elif stated["name"] == "reindex":
            await queue_reindex(client, "$reindex")
        else:
            assert await client.get(calls[stated["name"]])


async def test_operations_that_are_not_claimed_are_not_there(client: Client) -> None:
    claimed = {row.url for row in OPERATIONS}
    for definition in packaged().operations():
        if definition.url in claimed:
            continue
        for type in definition.resources:
            if definition.type and type in packaged().resource_types:
                served_too = {row.code for row in OPERATIONS if not row.types or type in row.types}
                if definition.code not in served_too:
                    with pytest.raises(NotFound):
                        await client.ask("POST", f"{type}/${definition.code}")


# --- search ---------------------------------------------------------------------------------

VALUES = {
    "token": "a",
    "string": "a",
    "date": "2020",
    "number": "1",
    "quantity": "1",
    "reference": "Patient/a",
    "uri": "http://example.org",
    "special": "-36.8|174.7|5|km",
}


def value(definition: str) -> str:
    """A value that fits a search parameter."""
    found = packaged().search_parameter(definition)
    assert found is not None
    if found.type == "composite":
        return "$".join(value(component.definition) for component in found.components)
    return VALUES[found.type]


async def test_every_search_parameter_answers(client: Client) -> None:
    number = 0
    for item in (await served(client))["resource"]:
        await create(client, sound(packaged(), item["type"]))
        for param in item["searchParam"]:
            definition = packaged().search_parameter(param["definition"])
            assert definition is not None
            assert (definition.code, definition.type) == (param["name"], param["type"])
            found = await client.get(
                f"{item['type']}?{param['name']}={quote(value(param['definition']))}"
            )
            assert found["type"] == "searchset"
            number += 1
    assert number > 2500


async def test_what_is_not_claimed_is_refused(client: Client) -> None:
    everywhere = {param["name"] for param in (await served(client))["searchParam"]}
    for item in (await served(client))["resource"]:
        claimed = {param["name"] for param in item["searchParam"]}
        for name in sorted(
            {"nonsense", *packaged().search_parameters(item["type"])} - claimed - everywhere
        ):
            with pytest.raises(Invalid):
                await client.get(f"{item['type']}?{name}=a")


async def test_every_parameter_of_the_system_does_what_it_says(client: Client) -> None:
    text = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">low</div>'}
    organization = {"resourceType": "Organization", "id": "o", "name": "high"}
    await client.put(
        {"resourceType": "Organization", "id": "a", "name": "Acme"},
        {"resourceType": "Patient", "id": "a", "text": text, "gender": "female"}
        | {"managingOrganization": {"reference": "Organization/a"}},
        {"resourceType": "Patient", "id": "b", "gender": "male", "contained": [organization]}
        | {"managingOrganization": {"reference": "#o"}},
        sound(packaged(), "List") | {"id": "l", "entry": [{"item": {"reference": "Patient/a"}}]},
    )
    queries = {
        "_contained": ("Organization?_contained=true", "Patient/b"),
        "_containedType": (
            "Organization?_contained=true&_containedType=contained",
            "Organization/o",
        ),
        "_content": ("Patient?_content=low", "Patient/a"),
        "_count": ("Patient?_count=1", "Patient/a"),
        "_elements": ("Patient?_elements=gender&_id=a", "Patient/a"),
        "_filter": ("Patient?_filter=_id eq a", "Patient/a"),
        "_has": ("Organization?_has:Patient:organization:gender=female", "Organization/a"),
        "_include": ("Patient?_id=a&_include=Patient:organization", "Patient/a Organization/a"),
        "_list": ("Patient?_list=l", "Patient/a"),
        "_revinclude": (
            "Organization?_revinclude=Patient:organization",
            "Organization/a Patient/a",
        ),
        "_sort": ("Patient?_sort=-_id", "Patient/b Patient/a"),
        "_summary": ("Patient?_summary=count", ""),
        "_text": ("Patient?_text=low", "Patient/a"),
        "_total": ("Patient?_total=accurate&_count=1", "Patient/a"),
        "_type": ("?_type=Patient", "Patient/a Patient/b"),
    }
    stated = [param["name"] for param in (await served(client))["searchParam"]]
    assert sorted(stated) == sorted(queries)
    for url, expected in queries.values():
        found = await client.get(url)
        assert ids(found) + ids(found, "include") == expected.split(), url
    assert (await client.get(queries["_total"][0]))["total"] == 2
    assert (await client.get(queries["_summary"][0]))["total"] == 2
    (entry,) = (await client.get(queries["_elements"][0]))["entry"]
    assert entry["resource"].keys() == {"resourceType", "id", "meta", "gender"}
    for handling in ("strict", "lenient"):
        with pytest.raises(Invalid, match="no named query"):
            await client.get("Patient?_query=current", handling=handling)


def includes(rest: Resource, element: str, parameter: str) -> Iterator[str]:
    for item in rest["resource"]:
        for stated in item[element]:
            yield f"{item['type']}?{parameter}={stated}"


async def test_every_include_answers(client: Client, rest: Resource) -> None:
    await put_one_of_each(client)
    for url in includes(rest, "searchInclude", "_include"):
        found = await client.get(url)
        assert len(ids(found)) == 1, url


@pytest.mark.slow_on_mongodb
async def test_every_revinclude_answers(client: Client, rest: Resource) -> None:
    await put_one_of_each(client)
    for url in includes(rest, "searchRevInclude", "_revinclude"):
        assert len(ids(await client.get(url))) == 1, url


async def put_one_of_each(client: Client) -> None:
    for type in sorted(packaged().resource_types):
        await client.put(sound(packaged(), type) | {"id": "a"})


async def test_every_compartment_can_be_searched(client: Client) -> None:
    await put_one_of_each(client)
    by_url = {item.url: item for item in packaged().compartments.values()}
    stated = (await served(client))["compartment"]
    assert len(stated) == 5
    for url in stated:
        compartment = by_url[url]
        assert f"{compartment.code}/a" in ids(await client.get(f"{compartment.code}/a/*"))
        for member in compartment.members:
            await client.get(f"{compartment.code}/a/{member}")


# --- flags ----------------------------------------------------------------------------------


async def flag_versioning(client: Client, type: str, stated: Json) -> None:
    """`versioned`: If-Match is heeded, and not needed."""
    assert stated == "versioned"
    url = await create(client, sound(packaged(), type))
    changed = await client.get(url) | {"language": "de"}
    with pytest.raises(PreconditionFailed):
        await client.ask("PUT", url, resource=changed, if_match='W/"7"')
    assert (await client.ask("PUT", url, resource=changed, if_match='W/"1"')).version == 2
    assert (await client.ask("PUT", url, resource=changed | {"language": "fr"})).version == 3


async def flag_read_history(client: Client, type: str, stated: Json) -> None:
    url = await create(client, sound(packaged(), type))
    await client.ask("PUT", url, resource=await client.get(url) | {"language": "de"})
    old = await client.get(f"{url}/_history/1")
    assert stated is ("language" not in old)


async def flag_update_create(client: Client, type: str, stated: Json) -> None:
    resource = sound(packaged(), type) | {"id": "made"}
    if stated:
        assert (await client.ask("PUT", f"{type}/made", resource=resource)).status == 201
    else:
        with pytest.raises(FhirError):
            await client.ask("PUT", f"{type}/made", resource=resource)


async def flag_conditional_create(client: Client, type: str, stated: Json) -> None:
    resource = tagged(type, "created")
    condition = (("_tag", "created"),)
    answers = [
        await client.ask("POST", type, resource=resource, if_none_exist=condition) for _ in range(2)
    ]
    assert stated is ([answer.status for answer in answers] == [201, 200])


async def flag_conditional_read(client: Client, type: str, stated: Json) -> None:
    """`full-support`: both If-None-Match and If-Modified-Since are heeded."""
    assert stated == "full-support"
    url = await create(client, sound(packaged(), type))
    assert (await client.ask("GET", url, if_none_match='W/"1"')).status == 304
    later = "Fri, 01 Jan 2100 00:00:00 GMT"
    assert (await client.ask("GET", url, if_modified_since=later)).status == 304


async def flag_conditional_update(client: Client, type: str, stated: Json) -> None:
    answers = [
        await client.ask("PUT", f"{type}?_tag=updated", resource=tagged(type, "updated") | more)
        for more in ({}, {"language": "de"})
    ]
    assert stated is ([answer.status for answer in answers] == [201, 200])
    assert answers[0].id == answers[1].id


async def flag_conditional_delete(client: Client, type: str, stated: Json) -> None:
    await create(client, tagged(type, "one"))
    await client.ask("DELETE", f"{type}?_tag=one")
    assert ids(await client.get(f"{type}?_tag=one")) == []
    for _ in range(2):
        await create(client, tagged(type, "two"))
    if stated == "single":
        with pytest.raises(MultipleMatches):
            await client.ask("DELETE", f"{type}?_tag=two")
    else:
        assert stated == "multiple"
        await client.ask("DELETE", f"{type}?_tag=two")
        assert ids(await client.get(f"{type}?_tag=two")) == []


async def flag_reference_policy(client: Client, type: str, stated: Json) -> None:
    """literal and logical references are taken; where it is enforced, not those to nothing."""
    logical = {"identifier": {"system": "s", "value": "1"}}
    await create(client, observation(logical))
    there = await create(client, {"resourceType": "Patient"})
    await create(client, observation({"reference": there}))
    if "enforced" in stated:
        with pytest.raises(FhirError):
            await create(client, observation({"reference": "Patient/nobody"}))
        with pytest.raises(FhirError):
            await client.ask("DELETE", there)
    assert {"literal", "logical"} <= set(stated) <= {"literal", "logical", "enforced"}


def observation(subject: Resource) -> Resource:
    return sound(packaged(), "Observation") | {"subject": subject}


def tagged(type: str, code: str) -> Resource:
    return sound(packaged(), type) | {"meta": {"tag": [{"code": code}]}}


FLAGS: dict[str, Callable[[Client, str, Json], Awaitable[None]]] = {
    "versioning": flag_versioning,
    "readHistory": flag_read_history,
    "updateCreate": flag_update_create,
    "conditionalCreate": flag_conditional_create,
    "conditionalRead": flag_conditional_read,
    "conditionalUpdate": flag_conditional_update,
    "conditionalDelete": flag_conditional_delete,
    "referencePolicy": flag_reference_policy,
}
NOT_FLAGS = {
    "type",
    "profile",
    "interaction",
    "operation",
    "searchParam",
    "searchInclude",
    "searchRevInclude",
}


@pytest.mark.parametrize(
    "policy",
    [
        Policy(),
        replace(Policy(), update_create=False, conditional_delete="multiple"),
        replace(Policy(), integrity_on_write=True),
        replace(Policy(), integrity_on_write=True, integrity_on_delete=False),
    ],
    ids=["default", "multiple", "enforced", "half enforced"],
)
async def test_every_flag_is_true(context: Context, policy: Policy) -> None:
    client = Client(replace(context, policy=policy), OPERATIONS)
    for item in (await served(client))["resource"]:
        assert set(item) == NOT_FLAGS | set(FLAGS)
        if item["type"] in ("Patient", "Basic", "Organization"):
            for name, call in FLAGS.items():
                await call(client, item["type"], item[name])


@pytest.mark.slow
async def test_every_flag_is_true_of_every_type(client: Client) -> None:
    for item in (await served(client))["resource"]:
        for name, call in FLAGS.items():
            await call(client, item["type"], item[name])


# --- formats --------------------------------------------------------------------------------


FORMS: dict[str, tuple[Callable[[bytes], Resource], Callable[[Resource], bytes]]] = {
    "json": (decode, encode),
    "xml": (partial(from_xml, definitions=packaged()), partial(to_xml, definitions=packaged())),
}


def form(format: str) -> tuple[Callable[[bytes], Resource], Callable[[Resource], bytes]]:
    """How a format is read and written."""
    return FORMS[format.rpartition("+")[2].rpartition("/")[2]]


async def test_every_format_is_read_and_written(tmp_path: Path, each_store: str) -> None:
    async with serving(tmp_path) as http:
        stated = decode((await http.get("/fhir/metadata")).content)
        for format in stated["format"]:
            read, write = form(format)
            answer = await http.get("/fhir/metadata", params={"_format": format})
            assert (answer.status_code, read(answer.content)) == (200, stated)
            if "/" in format:
                answer = await http.post(
                    "/fhir/Patient",
                    content=write({"resourceType": "Patient"}),
                    headers={"Content-Type": format, "Accept": format},
                )
                assert answer.status_code == 201
                assert answer.headers["Content-Type"].startswith(format)
        await http.put(
            "/fhir/Patient/a",
            content=b'{"resourceType":"Patient","id":"a","language":"en"}',
            headers={"Content-Type": "application/fhir+json"},
        )
        by_json, by_path, by_xml = patches("Patient")
        bodies = {
            "application/json-patch+json": by_json,
            "application/fhir+json": by_path,
            "application/fhir+xml": by_path,
            "application/xml-patch+xml": by_xml,
        }
        for format in stated["patchFormat"]:
            patch, language = bodies[format]
            body = patch if isinstance(patch, bytes) else form(format)[1](patch)
            headers = {"Content-Type": format}
            answer = await http.patch("/fhir/Patient/a", content=body, headers=headers)
            assert (answer.status_code, answer.json()["language"]) == (200, language)


async def test_the_implementation_is_at_its_address(tmp_path: Path) -> None:
    async with serving(tmp_path) as http:
        stated = (await http.get("/fhir/metadata")).json()
        assert (await http.get(stated["url"])).json() == stated
        assert (await http.get(f"{stated['implementation']['url']}/Patient")).status_code == 200
