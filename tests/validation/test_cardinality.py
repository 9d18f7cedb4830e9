from fhirserver.definitions import packaged
from fhirserver.validation.cardinality import many, many_primitive, required
from fhirserver.validation.primitive import code, string


def test_an_array_is_checked_item_by_item() -> None:
    issues = many(string, None)(["a", "", "b", 5])
    assert issues is not None
    assert [issue.expression for issue in issues] == ["[1]", "[3]"]


def test_an_array_is_an_array_and_not_empty() -> None:
    assert many(string, None)(["a"]) is None
    for value in ("a", [], None, {"a": 1}):
        assert many(string, None)(value) is not None


def test_a_bounded_array_has_no_more_items() -> None:
    assert many(code, 2)(["a", "b"]) is None
    issues = many(code, 2)(["a", "b", "c"])
    assert issues is not None
    assert issues[0].text == "Expected at most 2 items, found 3."


def test_a_null_among_primitives_is_told_apart() -> None:
    issues = many_primitive(string, None)([None, "a", 1])
    assert issues is not None
    assert "partner" in issues[0].text
    assert "partner" not in issues[1].text


def test_what_is_required_may_be_an_extension_only() -> None:
    rule = required(packaged().children("Observation"))
    assert rule is not None
    assert rule({"status": "final", "code": {}}) is None
    assert rule({"_status": {}, "code": {}}) is None
    issues = rule({})
    assert issues is not None
    assert [(issue.code, issue.expression) for issue in issues] == [("required", "")] * 2


def test_a_required_choice_may_have_any_of_its_types() -> None:
    rule = required(packaged().children("MedicationStatement"))
    assert rule is not None
    assert rule({"status": "a", "subject": {}, "medicationReference": {}}) is None
    assert rule({"status": "a", "subject": {}, "medicationCodeableConcept": {}}) is None
    issues = rule({"status": "a", "subject": {}})
    assert issues is not None
    assert "'medication'" in issues[0].text


def test_a_type_that_requires_nothing_has_no_rule() -> None:
    assert required(packaged().children("Patient")) is None
