from fhirserver.definitions.code_system import code_system

POISONS = {
    "url": "http://c",
    "content": "complete",
    "concept": [
        {
            "code": "plant",
            "property": [{"code": "notSelectable", "valueBoolean": True}],
            "concept": [{"code": "hemlock", "display": "Hemlock"}],
        },
        {"code": "nerve", "property": [{"code": "child", "valueCode": "hemlock"}]},
        {"code": "vine", "property": [{"code": "parent", "valueCode": "plant"}]},
    ],
}


def test_concepts_are_flat_and_know_their_parents() -> None:
    found = code_system(POISONS)
    assert list(found.concepts) == ["plant", "hemlock", "nerve", "vine"]
    assert set(found.concepts["hemlock"].parents) == {"plant", "nerve"}
    assert found.concepts["vine"].parents == ("plant",)
    assert found.concepts["hemlock"].display == "Hemlock"


def test_a_concept_that_only_groups_is_abstract() -> None:
    found = code_system(POISONS)
    assert found.concepts["plant"].abstract
    assert not found.concepts["hemlock"].abstract


def test_only_complete_content_is_complete() -> None:
    assert code_system(POISONS).is_complete
    assert not code_system(POISONS | {"content": "fragment"}).is_complete


def test_a_thousand_levels_are_no_trouble() -> None:
    inner: dict[str, object] = {"code": "0"}
    for level in range(1, 1000):
        inner = {"code": str(level), "concept": [inner]}
    assert len(code_system(POISONS | {"concept": [inner]}).concepts) == 1000
