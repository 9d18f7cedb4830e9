from fhirserver.definitions import packaged
from fhirserver.validation.choice import exclusive


def test_one_of_a_choice() -> None:
    rule = exclusive(packaged().children("Observation"))
    assert rule is not None
    assert rule({}) is None
    assert rule({"valueString": "a", "_valueString": {}}) is None
    assert rule({"valueString": "a", "effectiveInstant": "b"}) is None


def test_two_of_a_choice() -> None:
    rule = exclusive(packaged().children("Observation"))
    assert rule is not None
    issues = rule({"valueString": "a", "_valueInteger": {}, "effectiveInstant": "b"})
    assert issues is not None
    assert [issue.expression for issue in issues] == [".value"]
    assert issues[0].text == "Expected one 'value[x]', found valueInteger, valueString."


def test_a_type_without_choices_has_no_rule() -> None:
    assert exclusive(packaged().children("HumanName")) is None
