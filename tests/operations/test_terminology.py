"""The operations of the terminology service, on code systems in the store."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from interactions.client import Client, open_context

from fhirserver.errors import FhirError, Invalid, NotFound, NotSupported, TooCostly, Unprocessable
from fhirserver.operations.table import OPERATIONS

URL = "http://example.org/animals"
ANIMALS = {
    "resourceType": "CodeSystem",
    "id": "animals",
    "url": URL,
    "version": "1",
    "language": "en",
    "status": "active",
    "content": "complete",
    "hierarchyMeaning": "is-a",
    "property": [{"code": "legs", "type": "integer"}],
    "concept": [
        {
            "code": "animal",
            "display": "Animal",
            "property": [{"code": "notSelectable", "valueBoolean": True}],
            "concept": [
                {
                    "code": "dog",
                    "display": "Dog",
                    "designation": [{"language": "de", "value": "Hund"}],
                    "property": [{"code": "legs", "valueInteger": 4}],
                    "concept": [{"code": "poodle", "display": "Poodle (curly dog)"}],
                },
                {
                    "code": "dodo",
                    "display": "Dodo",
                    "property": [
                        {"code": "legs", "valueInteger": 2},
                        {"code": "status", "valueCode": "retired"},
                    ],
                },
            ],
        },
    ],
}


def value_set(id: str, *includes: dict[str, Any], **compose: Any) -> dict[str, Any]:
    return {
        "resourceType": "ValueSet",
        "id": id,
        "url": f"http://example.org/vs/{id}",
        "status": "active",
        "compose": {"include": list(includes)} | compose,
    }


def filtered(property: str, op: str, value: str) -> dict[str, Any]:
    return {"system": URL, "filter": [{"property": property, "op": op, "value": value}]}


@pytest.fixture
async def client(each_store: str, tmp_path: Path) -> AsyncIterator[Client]:
    """Over the store that keeps concepts."""
    async with open_context(tmp_path / "fhir.db") as context:
        yield Client(context, OPERATIONS)


@pytest.fixture
async def animals(client: Client) -> Client:
    await client.ask("PUT", "CodeSystem/animals", resource=ANIMALS)
    return client


async def codes(
    client: Client, *includes: dict[str, Any], query: str = "", **more: Any
) -> list[str]:
    await client.ask("PUT", "ValueSet/x", resource=value_set("x", *includes, **more))
    found = await client.get(f"ValueSet/x/$expand{query}")
    return [item["code"] for item in found["expansion"].get("contains", ())]


def named(parameters: dict[str, Any], name: str) -> list[Any]:
    return [
        next(value for key, value in item.items() if key != "name")
        for item in parameters["parameter"]
        if item["name"] == name
    ]


@pytest.mark.parametrize(
    ("property", "op", "value", "expected"),
    [
        ("concept", "is-a", "dog", ["dog", "poodle"]),
        ("concept", "descendent-of", "animal", ["dog", "poodle", "dodo"]),
        ("concept", "is-not-a", "dog", ["animal", "dodo"]),
        ("concept", "generalizes", "poodle", ["animal", "dog", "poodle"]),
        ("concept", "in", "dog,dodo", ["dog", "dodo"]),
        ("concept", "not-in", "dog, animal", ["poodle", "dodo"]),
        ("legs", "=", "4", ["dog"]),
        ("legs", "exists", "true", ["dog", "dodo"]),
        ("legs", "exists", "false", ["animal", "poodle"]),
        ("legs", "in", "2,3", ["dodo"]),
        ("parent", "=", "dog", ["poodle"]),
        ("child", "=", "poodle", ["dog"]),
        ("code", "regex", "do.*", ["dog", "dodo"]),
        ("display", "regex", "D[a-z]+", ["dog", "dodo"]),
        ("inactive", "=", "true", ["dodo"]),
    ],
)
async def test_filters(
    animals: Client, property: str, op: str, value: str, expected: list[str]
) -> None:
    assert await codes(animals, filtered(property, op, value)) == expected


async def test_a_hostile_regex_takes_no_time(animals: Client) -> None:
    assert await codes(animals, filtered("code", "regex", "(([a-z]+)+)+$x" * 3)) == []


@pytest.mark.parametrize("pattern", ["(?=x)", r"(a)\1", "[", "a{2000}"])
async def test_a_regex_that_cannot_be_bounded_is_refused(animals: Client, pattern: str) -> None:
    with pytest.raises(Unprocessable, match="regular expression"):
        await codes(animals, filtered("code", "regex", pattern))


async def test_an_unknown_property_is_refused(animals: Client) -> None:
    with pytest.raises(Unprocessable, match="not supported"):
        await codes(animals, filtered("wings", "=", "2"))


async def test_what_is_excluded_is_left_out(animals: Client) -> None:
    found = await codes(animals, {"system": URL}, exclude=[filtered("concept", "is-a", "dog")])
    assert found == ["animal", "dodo"]


async def test_imports_are_joined_and_intersected(animals: Client) -> None:
    await animals.ask(
        "PUT", "ValueSet/dogs", resource=value_set("dogs", filtered("concept", "is-a", "dog"))
    )
    dogs = "http://example.org/vs/dogs"
    assert await codes(animals, {"valueSet": [dogs]}) == ["dog", "poodle"]
    both = {"system": URL, "concept": [{"code": "dog"}, {"code": "dodo"}], "valueSet": [dogs]}
    assert await codes(animals, both) == ["dog"]


async def test_circular_imports_are_refused(client: Client) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        resource = value_set(one, {"valueSet": [f"http://example.org/vs/{other}"]})
        await client.ask("PUT", f"ValueSet/{one}", resource=resource)
    with pytest.raises(Unprocessable, match="circle"):
        await client.get("ValueSet/a/$expand")


async def test_imports_that_multiply_are_too_costly(client: Client) -> None:
    """Each imports the next one twice: thirty of them would stand for a thousand million."""
    for n in range(30):
        twice = {"valueSet": [f"http://example.org/vs/v{n + 1}"]}
        await client.ask("PUT", f"ValueSet/v{n}", resource=value_set(f"v{n}", twice, twice))
    last = value_set("v30", {"system": URL, "concept": [{"code": "dog"}]})
    await client.ask("PUT", "ValueSet/v30", resource=last)
    with pytest.raises(TooCostly, match="More than 1000 value sets"):
        await client.get("ValueSet/v0/$expand")


async def test_missing_imports_are_named(client: Client) -> None:
    with pytest.raises(NotFound, match="vs/nowhere"):
        await codes(client, {"valueSet": ["http://example.org/vs/nowhere"]})
    with pytest.raises(NotFound, match="nothing"):
        await codes(client, {"system": "http://example.org/nothing"})


async def test_pages_of_an_expansion(animals: Client) -> None:
    everything: dict[str, Any] = {"system": URL}
    assert await codes(animals, everything, query="?count=2") == ["animal", "dog"]
    assert await codes(animals, everything, query="?count=2&offset=2") == ["poodle", "dodo"]
    found = await animals.get("ValueSet/x/$expand?count=1&offset=1")
    assert (found["expansion"]["total"], found["expansion"]["offset"]) == (4, 1)
    assert (await animals.get("ValueSet/x/$expand?count=0"))["expansion"]["total"] == 4


async def test_the_words_of_a_filter(animals: Client) -> None:
    everything: dict[str, Any] = {"system": URL}
    assert await codes(animals, everything, query="?filter=DO") == ["dog", "dodo", "poodle"]
    assert await codes(animals, everything, query="?filter=cur%20dog") == ["poodle"]
    assert await codes(animals, everything, query="?filter=hund") == ["dog"]
    assert await codes(animals, everything, query="?filter=poodel") == ["poodle"]
    assert await codes(animals, everything, query="?filter=zebra") == []


async def test_languages_and_inactive(animals: Client) -> None:
    await codes(animals, {"system": URL})
    found = await animals.get("ValueSet/x/$expand?displayLanguage=de&activeOnly=true")
    shown = {item["code"]: item["display"] for item in found["expansion"]["contains"]}
    assert shown == {"animal": "Animal", "dog": "Hund", "poodle": "Poodle (curly dog)"}
    answer = await animals.ask("GET", "ValueSet/x/$expand", languages="de-CH;q=0.9, fr")
    assert b'"Hund"' in (answer.body or b"")


async def test_too_many_concepts_are_too_costly(client: Client) -> None:
    concepts = [{"code": f"c{n}"} for n in range(10_001)]
    system = ANIMALS | {"url": "http://example.org/many", "concept": concepts, "id": "many"}
    await client.ask("PUT", "CodeSystem/many", resource=system)
    many: dict[str, Any] = {"system": "http://example.org/many"}
    with pytest.raises(TooCostly):
        await codes(client, many)
    assert len(await codes(client, many, query="?count=50&offset=9990")) == 11


async def test_lookup(animals: Client) -> None:
    found = await animals.get(f"CodeSystem/$lookup?system={URL}&code=dog&property=parent")
    assert named(found, "display") == ["Dog"]
    assert named(found, "version") == ["1"]
    (part,) = named(found, "property")
    assert {"name": "value", "valueCode": "animal"} in part
    with pytest.raises(NotFound, match="cat"):
        await animals.get(f"CodeSystem/$lookup?system={URL}&code=cat")
    with pytest.raises(Invalid):
        await animals.get("CodeSystem/$lookup?code=cat")


@pytest.mark.parametrize(
    ("code_a", "code_b", "outcome"),
    [
        ("animal", "poodle", "subsumes"),
        ("poodle", "animal", "subsumed-by"),
        ("dog", "dog", "equivalent"),
        ("dodo", "dog", "not-subsumed"),
    ],
)
async def test_subsumes(animals: Client, code_a: str, code_b: str, outcome: str) -> None:
    found = await animals.get(f"CodeSystem/animals/$subsumes?codeA={code_a}&codeB={code_b}")
    assert named(found, "outcome") == [outcome]


async def test_find_matches(animals: Client) -> None:
    def asked(*pairs: tuple[str, str], exact: bool = True) -> dict[str, Any]:
        properties = [
            {
                "name": "property",
                "part": [
                    {"name": "code", "valueCode": code},
                    {"name": "value", "valueString": value},
                ],
            }
            for code, value in pairs
        ]
        rest = [{"name": "system", "valueUri": URL}, {"name": "exact", "valueBoolean": exact}]
        return {"resourceType": "Parameters", "parameter": [*properties, *rest]}

    async def matches(resource: dict[str, Any]) -> list[str]:
        found = await client_answer(animals, "CodeSystem/$find-matches", resource)
        parts = [item["part"] for item in found.get("parameter", ())]
        return [part[0]["valueCoding"]["code"] for part in parts]

    assert await matches(asked(("legs", "4"))) == ["dog"]
    assert await matches(asked(("legs", "4"), ("parent", "animal"))) == ["dog"]
    assert await matches(asked(("legs", "3"))) == []
    either = asked(("legs", "4"), ("parent", "animal"), exact=False)
    assert await matches(either) == ["dog", "dodo"]


async def client_answer(client: Client, url: str, resource: dict[str, Any]) -> dict[str, Any]:
    from fhirserver.model.json import decode

    answer = await client.ask("POST", url, resource=resource)
    found: dict[str, Any] = decode(answer.body or b"{}")
    return found


async def test_validate_code(animals: Client) -> None:
    await codes(animals, filtered("concept", "is-a", "dog"))

    async def result(query: str) -> bool:
        return bool(named(await animals.get(f"ValueSet/x/$validate-code?{query}"), "result")[0])

    assert await result(f"system={URL}&code=poodle")
    assert not await result(f"system={URL}&code=dodo")
    assert await result(f"system={URL}&code=dog&display=Hund")
    assert not await result(f"system={URL}&code=dog&display=Cat")
    assert await result("code=dog&inferSystem=true")
    in_system = await animals.get("CodeSystem/animals/$validate-code?code=dodo")
    assert named(in_system, "result") == [True]


async def test_a_code_system_follows_its_resource(animals: Client) -> None:
    found = f"CodeSystem/$lookup?system={URL}&code=cat"
    with pytest.raises(NotFound):
        await animals.get(found)
    await animals.ask(
        "PUT",
        "CodeSystem/animals",
        resource=ANIMALS | {"concept": [{"code": "cat", "display": "Cat"}]},
    )
    assert named(await animals.get(found), "display") == ["Cat"]
    with pytest.raises(NotFound):
        await animals.get(f"CodeSystem/$lookup?system={URL}&code=dog")
    await animals.ask("DELETE", "CodeSystem/animals")
    with pytest.raises(NotFound, match="could not be found"):
        await animals.get(found)


async def test_versions(animals: Client) -> None:
    newer = ANIMALS | {
        "id": "newer",
        "version": "10",
        "concept": [{"code": "dog", "display": "Hound"}],
    }
    await animals.ask("PUT", "CodeSystem/newer", resource=newer)

    async def display(query: str) -> list[Any]:
        return named(
            await animals.get(f"CodeSystem/$lookup?system={URL}&code=dog{query}"), "display"
        )

    assert await display("") == ["Hound"]
    assert await display("&version=1") == ["Dog"]
    assert await codes(animals, {"system": URL, "version": "1"}, query="?count=1") == ["animal"]
    forced = f"?force-system-version={URL}|10"
    assert await codes(animals, {"system": URL, "version": "1"}, query=forced) == ["dog"]
    with pytest.raises(Unprocessable, match="check-system-version"):
        await codes(
            animals, {"system": URL, "version": "1"}, query=f"?check-system-version={URL}|10"
        )


async def test_translate(client: Client) -> None:
    concept_map = {
        "resourceType": "ConceptMap",
        "id": "m",
        "url": "http://example.org/map",
        "version": "2",
        "status": "active",
        "group": [
            {
                "source": "http://a",
                "target": "http://b",
                "element": [
                    {"code": "1", "target": [{"code": "eins", "equivalence": "wider"}]},
                    {"code": "2", "target": [{"equivalence": "unmatched"}]},
                ],
                "unmapped": {"mode": "fixed", "code": "other"},
            }
        ],
    }
    await client.ask("PUT", "ConceptMap/m", resource=concept_map)

    async def translated(query: str) -> tuple[Any, list[tuple[Any, Any]]]:
        found = await client.get(f"ConceptMap/$translate?{query}")
        parts = [
            {part["name"]: part for part in item["part"]}
            for item in found["parameter"]
            if item["name"] == "match"
        ]
        return named(found, "result")[0], [
            (part["equivalence"]["valueCode"], part["concept"]["valueCoding"].get("code"))
            for part in parts
        ]

    assert await translated("system=http://a&code=1&targetsystem=http://b") == (
        True,
        [("wider", "eins")],
    )
    assert await translated("system=http://a&code=2&url=http://example.org/map") == (
        False,
        [("unmatched", None)],
    )
    assert await translated("system=http://a&code=9&url=http://example.org/map") == (
        True,
        [("inexact", "other")],
    )
    assert await translated("system=http://b&code=eins&targetsystem=http://a&reverse=true") == (
        True,
        [("narrower", "1")],
    )
    with pytest.raises(NotFound):
        await translated("system=http://a&code=1&url=http://example.org/none")


async def test_closure(animals: Client) -> None:
    async def closed(*concepts: str, version: str | None = None) -> list[tuple[str, str]]:
        parameters: list[dict[str, Any]] = [{"name": "name", "valueString": "mine"}]
        parameters += [
            {"name": "concept", "valueCoding": {"system": URL, "code": code}} for code in concepts
        ]
        if version is not None:
            parameters.append({"name": "version", "valueString": version})
        found = await client_answer(
            animals, "$closure", {"resourceType": "Parameters", "parameter": parameters}
        )
        return [
            (element["code"], target["code"])
            for group in found.get("group", ())
            for element in group["element"]
            for target in element["target"]
        ]

    with pytest.raises(NotFound):
        await closed("dog")
    assert await closed() == []
    assert await closed("poodle", "dodo") == []
    assert sorted(await closed("animal")) == [("dodo", "animal"), ("poodle", "animal")]
    assert sorted(await closed("dog")) == [("dog", "animal"), ("poodle", "dog")]
    assert await closed("dog") == []
    assert sorted(await closed(version="2")) == [("dog", "animal"), ("poodle", "dog")]
    assert len(await closed(version="0")) == 4


async def test_units(client: Client) -> None:
    async def valid(code: str) -> bool:
        query = f"url=http://unitsofmeasure.org&code={code}"
        return bool(named(await client.get(f"CodeSystem/$validate-code?{query}"), "result")[0])

    assert [await valid(code) for code in ("mg/dL", "[pH]", "10*3/uL", "mmol/l{x}")] == [True] * 4
    assert [await valid(code) for code in ("mgg", "kg/", "mm Hg")] == [False] * 3
    found = await client.get(
        "CodeSystem/$lookup?system=http://unitsofmeasure.org&code=mg&property=*"
    )
    assert named(found, "display") == ["mg"]
    with pytest.raises(TooCostly):
        await codes(client, {"system": "http://unitsofmeasure.org"})


async def test_packaged_definitions_answer(client: Client) -> None:
    found = await client.get(
        "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender"
    )
    assert {item["code"] for item in found["expansion"]["contains"]} == {
        "male",
        "female",
        "other",
        "unknown",
    }


async def test_what_is_not_supported_is_refused(animals: Client) -> None:
    await codes(animals, {"system": URL})
    for query in ("date=2020-01-01", "contextDirection=up", "no-such=1", "count=-1"):
        with pytest.raises(FhirError):
            await animals.get(f"ValueSet/x/$expand?{query}")


async def test_a_code_system_can_be_left_out(animals: Client) -> None:
    sizes = {"system": "http://example.org/sizes", "concept": [{"code": "small"}]}
    assert set(await codes(animals, {"system": URL}, sizes)) >= {"dog", "small"}
    for left_out in (URL, f"{URL}|1"):
        found = await animals.get(f"ValueSet/x/$expand?exclude-system={left_out}")
        assert [item["code"] for item in found["expansion"]["contains"]] == ["small"]
    found = await animals.get(f"ValueSet/x/$expand?exclude-system={URL}|2")
    assert len(found["expansion"]["contains"]) > 1


async def test_a_date_that_is_not_over_is_now(animals: Client) -> None:
    await codes(animals, {"system": URL})
    found = await animals.get("ValueSet/x/$expand?date=2999")
    assert found["expansion"]["contains"]
    for operation in ("ValueSet/x/$expand?", f"ValueSet/x/$validate-code?code=dog&system={URL}&"):
        with pytest.raises(NotSupported):
            await animals.get(f"{operation}date=2020-01-01")


GENDERS = {"male", "female", "other", "unknown"}
PATIENT = "http://hl7.org/fhir/StructureDefinition/Patient"


async def test_the_value_set_of_an_element(client: Client) -> None:
    found = await client.get(f"ValueSet/$expand?context={PATIENT}%23Patient.gender")
    assert {item["code"] for item in found["expansion"]["contains"]} == GENDERS
    answer = await client.get(
        f"ValueSet/$validate-code?context={PATIENT}%23Patient.gender&code=male"
        "&system=http://hl7.org/fhir/administrative-gender"
    )
    assert named(answer, "result") == [True]


async def test_the_value_set_of_an_element_of_a_stored_profile(animals: Client) -> None:
    await codes(animals, {"system": URL})
    pets = "http://example.org/StructureDefinition/pets"
    profile = {
        "resourceType": "StructureDefinition",
        "id": "pets",
        "url": pets,
        "name": "Pets",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Basic",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Basic",
        "derivation": "constraint",
        "differential": {
            "element": [
                {"id": "Basic", "path": "Basic"},
                {
                    "id": "Basic.code",
                    "path": "Basic.code",
                    "binding": {"strength": "required", "valueSet": "http://example.org/vs/x"},
                },
            ]
        },
    }
    await animals.put(profile)
    found = await animals.get(f"ValueSet/$expand?context={pets}%23Basic.code")
    assert "dog" in {item["code"] for item in found["expansion"]["contains"]}


@pytest.mark.parametrize(
    ("context", "refusal"),
    [
        ("Patient.gender", Invalid),
        (f"{PATIENT}%23Patient.sex", NotFound),
        (f"{PATIENT}%23Patient.birthDate", NotFound),
        ("http://example.org/none%23Patient.gender", NotFound),
    ],
)
async def test_elements_without_a_value_set(
    client: Client, context: str, refusal: type[FhirError]
) -> None:
    with pytest.raises(refusal):
        await client.get(f"ValueSet/$expand?context={context}")


async def test_terminology_capabilities(animals: Client) -> None:
    found = await animals.get("metadata?mode=terminology")
    listed = {item["uri"]: item for item in found["codeSystem"]}
    assert listed[URL]["version"] == [{"code": "1"}]
    assert "http://unitsofmeasure.org" in listed
    assert "filter" in [item["name"] for item in found["expansion"]["parameter"]]
    await animals.ask("DELETE", "CodeSystem/animals")
    after = await animals.get("metadata?mode=terminology")
    assert URL not in {item["uri"] for item in after["codeSystem"]}


async def test_closure_tables_are_their_caller_s_and_bounded(
    animals: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhirserver.operations.terminology.closure._TABLES", 2)

    async def begin(name: str) -> None:
        named = [{"name": "name", "valueString": name}]
        await client_answer(animals, "$closure", {"resourceType": "Parameters", "parameter": named})

    for name in ("a", "b", "a"):
        await begin(name)
    with pytest.raises(TooCostly, match="2 closure tables"):
        await begin("c")
    concepts = animals.context.concepts
    await concepts.begin_closure("anna", "c", 2)
    assert await concepts.extend_closure("anna", "a", [("s", "c")], 9) is None
    assert await concepts.extend_closure("anna", "c", [("s", "c")], 9) is not None
