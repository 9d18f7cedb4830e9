"""Search through the gate, on the real store: what is found, and how the Bundle tells it."""

from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest
from interactions.client import BASE, Client, ids, link

from fhirserver.access.grant import OPEN
from fhirserver.errors import FhirError, Gone, Invalid, NotFound
from fhirserver.interactions.context import Context
from fhirserver.interactions.seal import AesSealer
from fhirserver.model.json import Resource, decode
from fhirserver.model.temporal import DAY


def patient(id: str, **more: object) -> Resource:
    return {"resourceType": "Patient", "id": id, "active": True} | more


def organization(id: str, **more: object) -> Resource:
    return {"resourceType": "Organization", "id": id, "name": id} | more


def observation(id: str, subject: str, **more: object) -> Resource:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": subject},
    } | more


@pytest.fixture
async def family(client: Client) -> Client:
    """Two patients of one doctor's, with observations."""
    await client.put(
        organization("hospital", name="General"),
        organization("ward", partOf={"reference": "Organization/hospital"}),
        {"resourceType": "Practitioner", "id": "who", "name": [{"family": "Who"}]},
        patient(
            "anna",
            name=[{"family": "Möller", "given": ["Anna"]}],
            birthDate="1970-05-01",
            generalPractitioner=[{"reference": "Practitioner/who"}],
            managingOrganization={"reference": "Organization/ward"},
        ),
        patient("bert", name=[{"family": "Zander"}], birthDate="1980"),
        observation("pulse", "Patient/anna", valueQuantity={"value": 72, "unit": "/min"}),
        observation("old-pulse", "Patient/anna", effectiveDateTime="2001-01-01", status="amended"),
        observation("other", "Patient/bert"),
    )
    return client


PULSES = {"Observation/pulse", "Observation/old-pulse"}
ORGANIZATIONS = {"Organization/ward", "Organization/hospital"}

# --- the searchset --------------------------------------------------------------------------


async def test_a_search_that_finds_nothing_is_an_empty_searchset(client: Client) -> None:
    assert await client.get("Patient?name=nobody") == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 0,
        "link": [{"relation": "self", "url": f"{BASE}/Patient?name=nobody"}],
    }


async def test_a_match_is_the_stored_resource_with_its_address(family: Client) -> None:
    (entry,) = (await family.get("Patient?family=moller"))["entry"]
    assert entry["fullUrl"] == f"{BASE}/Patient/anna"
    assert entry["search"] == {"mode": "match"}
    assert entry["resource"] == await family.get("Patient/anna")


async def test_get_and_post_give_the_same_bytes(family: Client) -> None:
    by_get = await family.ask("GET", "Patient?birthdate=lt1975")
    by_post = await family.ask("POST", "Patient/_search?birthdate=lt1975")
    assert by_get.body == by_post.body


async def test_a_deleted_resource_is_not_found(family: Client) -> None:
    await family.delete("Observation/other")
    assert ids(await family.get("Observation?subject=Patient/bert")) == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("Observation?subject:Patient.name=moller&status=final", {"Observation/pulse"}),
        ("Observation?patient.organization.partof.name=general", PULSES),
        ("Patient?_has:Observation:patient:status=amended", {"Patient/anna"}),
        ("Patient?_has:Observation:patient:status:not=final", {"Patient/anna"}),
        (
            "Practitioner?_has:Patient:general-practitioner:_has:Observation:patient:status=final",
            {"Practitioner/who"},
        ),
        ("Patient?general-practitioner.name=who&birthdate=1970", {"Patient/anna"}),
        ("Patient?birthdate=ge1970,1980", {"Patient/anna", "Patient/bert"}),
        ("Observation?patient=anna&date:missing=true", {"Observation/pulse"}),
        ("Observation?patient=http://example.org/fhir/Patient/bert", {"Observation/other"}),
        ("Patient?_id=anna,nobody", {"Patient/anna"}),
        ("?_type=Patient,Practitioner&_id=anna,who", {"Patient/anna", "Practitioner/who"}),
        ("?_id=pulse", {"Observation/pulse"}),
    ],
)
async def test_chains_and_reverse_chains(family: Client, url: str, expected: set[str]) -> None:
    assert set(ids(await family.get(url))) == expected


async def test_sort_orders_the_matches(family: Client) -> None:
    assert ids(await family.get("Patient?_sort=birthdate")) == ["Patient/anna", "Patient/bert"]
    assert ids(await family.get("Patient?_sort=-birthdate")) == ["Patient/bert", "Patient/anna"]


async def test_a_list_restricts_to_its_items(family: Client) -> None:
    items = [{"item": {"reference": "Patient/bert"}}]
    await family.put(
        {"resourceType": "List", "id": "l", "status": "current", "mode": "working", "entry": items}
    )
    assert ids(await family.get("Patient?_list=l")) == ["Patient/bert"]
    assert ids(await family.get("Patient?_list=l&name=moller")) == []


# --- compartments ---------------------------------------------------------------------------


async def test_a_compartment_search_finds_what_belongs(family: Client) -> None:
    found = await family.get("Patient/anna/Observation?code=8867-4&status=final")
    assert ids(found) == ["Observation/pulse"]
    assert link(found, "self") == f"{BASE}/Patient/anna/Observation?code=8867-4&status=final"


async def test_a_compartment_search_of_all_types_finds_the_patient_too(family: Client) -> None:
    found = await family.get("Patient/anna/*")
    assert set(ids(found)) == {"Patient/anna"} | PULSES
    assert link(found, "self") == f"{BASE}/Patient/anna/*"


async def test_types_that_never_belong_to_a_compartment_are_not_found(family: Client) -> None:
    assert ids(await family.get("Patient/anna/Organization")) == []


# --- includes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "included"),
    [
        ("_include=Patient:general-practitioner", {"Practitioner/who"}),
        ("_include=Patient:organization", {"Organization/ward"}),
        ("_include=Patient:organization&_include=Organization:partof", {"Organization/ward"}),
        ("_include=Patient:organization&_include:iterate=Organization:partof", ORGANIZATIONS),
        ("_include=*", {"Practitioner/who", "Organization/ward"}),
        ("_include=Patient:*", {"Practitioner/who", "Organization/ward"}),
        ("_include:iterate=*", {"Practitioner/who", "Organization/ward", "Organization/hospital"}),
        ("_include=Patient:general-practitioner:Organization", set()),
        ("_include=Patient:*:Organization", {"Organization/ward"}),
        ("_include=Patient:*:Practitioner", {"Practitioner/who"}),
        ("_revinclude=Observation:*:Patient", PULSES),
        ("_revinclude=Observation:*:Organization", set()),
        ("_revinclude=Observation:subject", PULSES),
        (
            "_revinclude=Observation:patient&_include=Patient:organization",
            PULSES | {"Organization/ward"},
        ),
        ("_revinclude=*", PULSES),
        ("_revinclude=Encounter:patient", set()),
    ],
)
async def test_includes_of_a_page(family: Client, query: str, included: set[str]) -> None:
    found = await family.get(f"Patient?name=moller&{query}")
    assert ids(found) == ["Patient/anna"]
    assert set(ids(found, "include")) == included
    assert len(ids(found, "include")) == len(included)
    assert found["total"] == 1


async def test_a_match_is_not_repeated_as_an_include(family: Client) -> None:
    found = await family.get("Organization?_include=Organization:partof")
    assert sorted(ids(found)) == ["Organization/hospital", "Organization/ward"]
    assert ids(found, "include") == []


async def test_iteration_ends_in_a_circle(client: Client) -> None:
    await client.put(
        patient("a", link=[{"other": {"reference": "Patient/b"}, "type": "seealso"}]),
        patient("b", link=[{"other": {"reference": "Patient/c"}, "type": "seealso"}]),
        patient("c", link=[{"other": {"reference": "Patient/a"}, "type": "seealso"}]),
    )
    found = await client.get("Patient?_id=a&_include:iterate=Patient:link")
    assert (ids(found), ids(found, "include")) == (["Patient/a"], ["Patient/b", "Patient/c"])
    found = await client.get("Patient?_id=a&_revinclude:iterate=Patient:link")
    assert (ids(found), ids(found, "include")) == (["Patient/a"], ["Patient/c", "Patient/b"])


async def test_what_is_gone_or_elsewhere_is_not_included(client: Client) -> None:
    await client.put(
        observation("a", "Patient/never-was"),
        observation("b", "http://elsewhere.org/fhir/Patient/1"),
        observation("c", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"),
    )
    found = await client.get("Observation?_include=Observation:subject")
    assert len(ids(found)) == 3
    assert ids(found, "include") == []


async def test_a_reference_to_a_version_brings_that_version(client: Client) -> None:
    await client.put(patient("p", gender="male"), patient("p", gender="female"))
    await client.put(observation("o", "Patient/p/_history/1"))
    found = await client.get("Observation?_include=Observation:subject")
    (entry,) = (entry for entry in found["entry"] if entry["search"]["mode"] == "include")
    assert entry["fullUrl"] == f"{BASE}/Patient/p"
    assert entry["resource"]["meta"]["versionId"] == "1"
    assert entry["resource"]["gender"] == "male"


async def test_an_absolute_reference_to_this_server_is_included(client: Client) -> None:
    await client.put(patient("p"), observation("o", f"{BASE}/Patient/p"))
    found = await client.get("Observation?_include=Observation:subject")
    assert ids(found, "include") == ["Patient/p"]


async def test_a_canonical_reference_is_included_by_its_url(client: Client) -> None:
    url = "http://example.org/questions"
    questionnaire = {"resourceType": "Questionnaire", "id": "q", "status": "active", "url": url}
    response = {"resourceType": "QuestionnaireResponse", "id": "r", "status": "completed"}
    await client.put(questionnaire, response | {"questionnaire": url})
    found = await client.get("QuestionnaireResponse?_include=QuestionnaireResponse:questionnaire")
    assert ids(found, "include") == ["Questionnaire/q"]


async def test_too_many_includes_are_cut_and_told(context: Context) -> None:
    client = Client(replace(context, policy=replace(context.policy, max_includes=2)))
    await client.put(patient("p"), *(observation(f"o{n}", "Patient/p") for n in range(3)))
    found = await client.get("Patient?_revinclude=Observation:subject")
    assert len(ids(found, "include")) == 2
    (entry,) = (entry for entry in found["entry"] if entry["search"]["mode"] == "outcome")
    assert entry["resource"]["issue"][0]["severity"] == "warning"
    assert entry["resource"]["issue"][0]["code"] == "too-costly"


async def test_includes_at_the_limit_are_not_called_cut(context: Context) -> None:
    client = Client(replace(context, policy=replace(context.policy, max_includes=3)))
    await client.put(patient("p"), *(observation(f"o{n}", "Patient/p") for n in range(3)))
    found = await client.get("Patient?_revinclude=Observation:subject&_include=Patient:link")
    assert len(found["entry"]) == 4


# --- summary and elements -------------------------------------------------------------------


@pytest.mark.parametrize("query", ["_summary=count", "_count=0"])
async def test_a_count_has_a_total_and_no_entries(family: Client, query: str) -> None:
    assert await family.get(f"Patient?{query}") == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 2,
        "link": [{"relation": "self", "url": f"{BASE}/Patient?{query}"}],
    }


@pytest.mark.parametrize(
    ("query", "kept", "dropped"),
    [
        ("_summary=true", {"name", "birthDate"}, {"text", "contact"}),
        ("_summary=text", {"text"}, {"name", "contact"}),
        ("_summary=data", {"name", "contact"}, {"text"}),
        ("_summary=false", {"text", "name", "contact"}, set()),
        ("_elements=birthDate,name", {"birthDate", "name"}, {"text", "contact"}),
    ],
)
async def test_part_of_a_resource(
    client: Client, query: str, kept: set[str], dropped: set[str]
) -> None:
    text = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">A</div>'}
    await client.put(
        patient(
            "p",
            text=text,
            name=[{"family": "A"}],
            birthDate="1970",
            contact=[{"name": {"family": "B"}}],
        )
    )
    (entry,) = (await client.get(f"Patient?{query}"))["entry"]
    assert kept <= set(entry["resource"])
    assert not dropped & set(entry["resource"])
    tags = [tag["code"] for tag in entry["resource"]["meta"].get("tag", [])]
    assert tags == (["SUBSETTED"] if dropped else [])


async def test_elements_are_those_of_matches_and_a_summary_is_of_all(family: Client) -> None:
    url = "Observation?_id=pulse&_include=Observation:subject"
    found = await family.get(f"{url}&_elements=status")
    match, include = (entry["resource"] for entry in found["entry"])
    assert "valueQuantity" not in match
    assert include["generalPractitioner"]
    found = await family.get(f"{url}&_summary=true")
    match, include = (entry["resource"] for entry in found["entry"])
    assert include["meta"]["tag"][0]["code"] == "SUBSETTED"


# --- handling -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query", ["nonsense=1", "name:exactly=a", "_sort=nonsense", "_include=x:y"]
)
async def test_strict_handling_refuses_what_it_does_not_know(client: Client, query: str) -> None:
    with pytest.raises(Invalid):
        await client.get(f"Patient?{query}")


@pytest.mark.parametrize(
    ("query", "applied"),
    [
        ("nonsense=1&name=moller", "?name=moller"),
        ("name:exactly=a&birthdate=1970", "?birthdate=1970"),
        ("_sort=nonsense&_id=anna", "?_sort=&_id=anna"),
    ],
)
async def test_lenient_handling_leaves_it_out_and_says_so(
    family: Client, query: str, applied: str
) -> None:
    found = await family.get(f"Patient?{query}", handling="lenient")
    assert ids(found) == ["Patient/anna"]
    assert link(found, "self") == f"{BASE}/Patient{applied}"
    assert found["total"] == 1
    (entry,) = (entry for entry in found["entry"] if entry["search"]["mode"] == "outcome")
    assert entry["resource"]["issue"][0]["severity"] == "warning"


async def test_a_bad_value_is_refused_by_both(client: Client) -> None:
    for handling in ("strict", "lenient"):
        with pytest.raises(Invalid):
            await client.get("Patient?birthdate=yesterday", handling=handling)


async def test_the_self_link_can_be_followed(family: Client) -> None:
    found = await family.get("Patient?name=M%C3%B6ller%2CZander&_count=7&birthdate=ge1970-01-01")
    url = link(found, "self") or ""
    assert url == f"{BASE}/Patient?name=M%C3%B6ller,Zander&_count=7&birthdate=ge1970-01-01"
    assert await family.get(url) == found


async def test_an_unknown_compartment_is_not_found(client: Client) -> None:
    with pytest.raises(NotFound):
        await client.get("Organization/1/Patient")


# --- totals and pages -----------------------------------------------------------------------


@pytest.fixture
async def crowd(client: Client) -> Client:
    await client.put(*(patient(f"p{n:02}", birthDate=f"19{n:02}") for n in range(25)))
    return client


async def walk(client: Client, url: str | None) -> list[Resource]:
    """All pages of a search."""
    pages = []
    while url is not None:
        pages.append(await client.get(url))
        url = link(pages[-1], "next")
    return pages


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("", 25),  # one page holds them all
        ("_total=none", None),
        ("_count=10", None),
        ("_count=10&_total=none", None),
        ("_count=10&_total=accurate", 25),
        ("_count=10&_total=estimate", 25),
    ],
)
async def test_a_total_is_given_when_asked_for_or_known(
    crowd: Client, query: str, total: int | None
) -> None:
    pages = await walk(crowd, f"Patient?{query}")
    assert {page.get("total") for page in pages} == {total}


@pytest.mark.parametrize(
    "url",
    [
        "Patient?_count=10",
        "Patient?_count=1",
        "Patient?_count=7&_sort=-birthdate",
        "?_type=Patient&_count=10",
        "Patient/p03/*?_count=10",
        "Patient?_count=5&birthdate=ge1900&_sort=_lastUpdated,birthdate",
    ],
)
async def test_a_walk_gives_each_once(crowd: Client, url: str) -> None:
    found = [id for page in await walk(crowd, url) for id in ids(page)]
    assert len(found) == len(set(found))
    assert len(found) == (1 if "/*" in url else 25)


async def test_a_walk_is_stable_while_others_write(crowd: Client) -> None:
    page = await crowd.get("Patient?_count=5&_sort=-birthdate")
    found = ids(page)
    number = 0
    while (url := link(page, "next")) is not None:
        await crowd.put(patient(f"new{number}", birthDate=f"19{20 - number * 5:02}"))
        await crowd.delete(found[number])  # one that was already given
        number += 1
        page = await crowd.get(url)
        found += ids(page)
    assert found == [f"Patient/p{n:02}" for n in range(24, -1, -1)]


async def test_page_links_show_a_token_only(crowd: Client) -> None:
    first = await crowd.get("Patient/p03/Patient?birthdate=1903&_count=1&_total=accurate")
    assert link(first, "next") is None
    first = await crowd.get("Patient?birthdate=ge1901&_count=10")
    second = await crowd.get(link(first, "next") or "")
    for bundle, relation in [
        (first, "next"),
        (second, "self"),
        (second, "next"),
        (second, "first"),
    ]:
        parts = urlsplit(link(bundle, relation) or "")
        assert parts.path == "/fhir/Patient"
        assert [name for name, _ in parse_qsl(parts.query)] == ["_cursor"]
        assert "1901" not in parts.query
    assert await crowd.get(link(second, "self") or "") != first
    again = await crowd.get(link(second, "first") or "")
    assert ids(again) == ids(first)


async def test_the_next_link_of_a_compartment_search_does_not_name_it(crowd: Client) -> None:
    await crowd.put(*(observation(f"o{n}", "Patient/p01") for n in range(3)))
    first = await crowd.get("Patient/p01/Observation?_count=2")
    url = link(first, "next") or ""
    assert "p01" not in url
    assert len(ids(await crowd.get(url))) == 1


async def test_includes_are_per_page(crowd: Client) -> None:
    await crowd.put(*(observation(f"o{n:02}", f"Patient/p{n:02}") for n in range(25)))
    pages = await walk(crowd, "Patient?_count=10&_revinclude=Observation:subject")
    for page in pages:
        assert {id[-2:] for id in ids(page)} == {id[-2:] for id in ids(page, "include")}


async def test_a_page_size_above_the_limit_is_cut_to_it(context: Context) -> None:
    client = Client(replace(context, policy=replace(context.policy, max_page_size=2)))
    await client.put(*(patient(f"p{n}") for n in range(3)))
    found = await client.get("Patient?_count=100")
    assert len(ids(found)) == 2
    assert link(found, "self") == f"{BASE}/Patient?_count=2"


# --- bad page links -------------------------------------------------------------------------


async def next_url(client: Client) -> str:
    return link(await client.get("Patient?_count=10"), "next") or ""


@pytest.mark.parametrize(
    "spoil",
    [
        lambda url: url[:-5] + "AAAAA",
        lambda url: url.replace("Patient", "Observation"),
        lambda url: url + "&name=x",
        lambda url: url + "&_cursor=x",
        lambda url: url.replace(f"{BASE}/Patient", f"{BASE}/Patient/p01/Patient"),
        lambda url: url.replace(f"{BASE}/Patient", f"{BASE}/Patient/_history"),
    ],
)
async def test_a_spoilt_page_link_is_refused(crowd: Client, spoil) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Invalid):
        await crowd.get(spoil(await next_url(crowd)))


async def test_an_expired_page_link_is_gone(context: Context, crowd: Client) -> None:
    url = await next_url(crowd)
    late = AesSealer(bytes(32), now=lambda: context.now() + 2 * DAY, random=lambda n: bytes(n))
    with pytest.raises(Gone):
        await Client(replace(context, sealer=late)).get(url)


async def test_a_page_link_is_of_one_caller_only(crowd: Client) -> None:
    url = await next_url(crowd)
    grant = replace(OPEN, subject="somebody else")
    with pytest.raises(FhirError):
        await crowd.get(url, grant=grant)


async def test_the_edges_parameters_may_stand_beside_a_cursor(crowd: Client) -> None:
    url = await next_url(crowd)
    assert ids(await crowd.get(url + "&_format=json&_pretty=true")) == ids(await crowd.get(url))


async def test_hostile_cursors_are_refused(client: Client) -> None:
    for token in ("", "AAAA", "%00", "é", "." * 5000):
        with pytest.raises(Invalid):
            await client.get(f"Patient?_cursor={token}")


async def test_a_match_has_the_bytes_that_a_read_gives(client: Client) -> None:
    await client.put(observation("o", "Patient/p", valueQuantity={"value": 1}))
    answer = await client.ask("GET", "Observation")
    assert answer.body is not None
    assert (await client.ask("GET", "Observation/o")).body in answer.body
    assert decode(answer.body)["type"] == "searchset"
