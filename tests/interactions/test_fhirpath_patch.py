"""FHIRPath Patch beyond the official cases: https://hl7.org/fhir/R4/fhirpatch.html."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import FhirError, Invalid, TooCostly, Unprocessable
from fhirserver.interactions.fhirpath_patch import MAX_OPERATIONS, FhirPathPatch
from fhirserver.model.json import Json, Resource

ANNA: Resource = {
    "resourceType": "Patient",
    "name": [{"family": "A", "given": ["x", "y", "z"], "_given": [None, {"id": "2"}, None]}],
    "birthDate": "1970",
    "deceasedBoolean": False,
    "contact": [{"gender": "male"}],
}


def operation(type: str, path: str, **parts: Json) -> Resource:
    """An operation; a dict is the rest of a part, an int a valueInteger, a str a valueString."""
    found: list[Resource] = [
        {"name": "type", "valueCode": type},
        {"name": "path", "valueString": path},
    ]
    for name, part in parts.items():
        if isinstance(part, dict):
            found.append({"name": name} | part)
        elif isinstance(part, int):
            found.append({"name": name, "valueInteger": part})
        else:
            found.append({"name": name, "valueString": part})
    return {"name": "operation", "part": found}


def parameters(*operations: Json) -> Resource:
    return {"resourceType": "Parameters", "parameter": list(operations)}


def apply(*operations: Json, to: Resource = ANNA) -> Resource:
    patch = FhirPathPatch(parameters(*operations), packaged())
    result: Resource = patch.apply(copy.deepcopy(to))
    return result


def test_a_choice_is_added_by_the_name_of_the_element() -> None:
    value = {"valueQuantity": {"value": 1}}
    observation = {"resourceType": "Observation"}
    for name in ("value", "value[x]", "valueQuantity"):
        result = apply(operation("add", "Observation", name=name, value=value), to=observation)
        assert result["valueQuantity"] == {"value": 1}


def test_a_choice_can_be_replaced_by_another_type() -> None:
    dead = operation("replace", "Patient.deceased", value={"valueDateTime": "2020"})
    result = apply(dead)
    assert result["deceasedDateTime"] == "2020"
    assert "deceasedBoolean" not in result


def test_a_choice_that_is_there_is_not_added_again() -> None:
    with pytest.raises(Unprocessable):
        apply(operation("add", "Patient", name="deceased", value={"valueDateTime": "2020"}))


def test_a_type_that_the_choice_does_not_have_is_refused() -> None:
    with pytest.raises(Unprocessable):
        apply(operation("replace", "Patient.deceased", value={"valueString": "yes"}))


def test_the_extensions_of_primitives_move_with_them() -> None:
    moved = apply(operation("move", "Patient.name.given", source=1, destination=0))
    assert moved["name"][0]["given"] == ["y", "x", "z"]
    assert moved["name"][0]["_given"] == [{"id": "2"}, None, None]
    gone = apply(operation("delete", "Patient.name.given[1]"))
    assert gone["name"][0]["given"] == ["x", "z"]
    assert "_given" not in gone["name"][0]


def test_a_primitive_can_be_given_with_extensions() -> None:
    value = {"valueDate": "1980", "_valueDate": {"id": "b"}}
    result = apply(operation("replace", "Patient.birthDate", value=value))
    assert (result["birthDate"], result["_birthDate"]) == ("1980", {"id": "b"})
    plain = apply(operation("replace", "Patient.birthDate", value={"valueDate": "1981"}), to=result)
    assert "_birthDate" not in plain


def test_an_extension_can_be_added_to_a_primitive() -> None:
    extension = {"valueExtension": {"url": "http://example.org", "valueString": "x"}}
    add = operation("add", "Patient.birthDate", name="extension", value=extension)
    result = apply(add, add)
    assert result["birthDate"] == "1970"
    assert result["_birthDate"] == {"extension": [extension["valueExtension"]] * 2}
    in_list = operation("add", "Patient.name.given[2]", name="extension", value=extension)
    given = apply(in_list)["name"][0]["_given"]
    assert given == [None, {"id": "2"}, {"extension": [extension["valueExtension"]]}]


def test_a_backbone_element_is_given_by_its_parts() -> None:
    part: Json = {
        "part": [
            {"name": "relationship", "valueCodeableConcept": {"text": "a"}},
            {"name": "relationship", "valueCodeableConcept": {"text": "b"}},
            {"name": "name", "valueHumanName": {"family": "B"}},
        ]
    }
    result = apply(operation("insert", "Patient.contact", index=0, value=part))
    assert result["contact"] == [
        {"relationship": [{"text": "a"}, {"text": "b"}], "name": {"family": "B"}},
        {"gender": "male"},
    ]


def test_a_resource_can_be_added() -> None:
    inside = {"resourceType": "Organization", "id": "o"}
    result = apply(operation("add", "Patient", name="contained", value={"resource": inside}))
    assert result["contained"] == [inside]


def test_an_item_is_inserted_into_a_list_that_is_not_there_yet() -> None:
    value = {"valueContactPoint": {"value": "1"}}
    result = apply(operation("insert", "Patient.telecom", index=0, value=value))
    assert result["telecom"] == [{"value": "1"}]


def test_criteria_select_within_a_list() -> None:
    resource = ANNA | {"identifier": [{"system": "a"}, {"system": "b", "value": "2"}]}
    path = "Patient.identifier.where(system = 'b').value"
    result = apply(operation("replace", path, value={"valueString": "3"}), to=resource)
    assert result["identifier"] == [{"system": "a"}, {"system": "b", "value": "3"}]


def test_to_delete_nothing_is_no_failure() -> None:
    assert apply(operation("delete", "Patient.photo")) == ANNA


VALUE = {"valueString": "x"}


@pytest.mark.parametrize(
    "bad",
    [
        operation("delete", "Patient.name.given"),
        operation("delete", "Patient"),
        operation("replace", "Patient", value=VALUE),
        operation("replace", "Patient.photo", value=VALUE),
        operation("replace", "Patient.name.given", value=VALUE),
        operation("replace", "1 + 1", value=VALUE),
        operation("add", "Patient.name", name="nothing", value=VALUE),
        operation("add", "Patient", name="birthDate", value={"valueDate": "1980"}),
        operation("add", "Patient.photo", name="url", value=VALUE),
        operation("insert", "Patient.name.given", index=4, value=VALUE),
        operation("insert", "Patient.birthDate", index=0, value=VALUE),
        operation("insert", "Patient.nothing", index=0, value=VALUE),
        operation("move", "Patient.name.given", source=0, destination=3),
        operation("move", "Patient.name.given", source=3, destination=0),
        operation("move", "Patient.photo", source=0, destination=0),
        operation("move", "Patient.name | Patient.contact", source=0, destination=0),
        operation("add", "Patient", name="contact", value={"part": [{"name": "no"} | VALUE]}),
    ],
)
def test_what_does_not_fit_the_resource_is_unprocessable(bad: Json) -> None:
    with pytest.raises(Unprocessable) as error:
        apply(bad)
    assert error.value.expression == "Parameters.parameter[0]"


@pytest.mark.parametrize(
    "document",
    [
        None,
        {"resourceType": "Patient"},
        {"resourceType": "Parameters", "parameter": {}},
        parameters("x"),
        parameters({"name": "other"}),
        parameters({"name": "operation"}),
        parameters({"name": "operation", "part": [{"name": "type", "valueCode": "grow"}]}),
        parameters({"name": "operation", "part": [{"name": "type", "valueCode": "delete"}]}),
        parameters({"name": "operation", "part": [1]}),
        parameters(operation("delete", "Patient.name.")),
        parameters(operation("delete", "Patient." + "a" * 3000)),
        parameters(operation("add", "Patient", value=VALUE)),
        parameters(operation("add", "Patient", name="active")),
        parameters(operation("add", "Patient", name=5, value=VALUE)),
        parameters(operation("insert", "Patient.name", index=-1, value=VALUE)),
        parameters(operation("insert", "Patient.name", index="1", value=VALUE)),
        parameters(operation("insert", "Patient.name", index=True, value=VALUE)),
        parameters(operation("move", "Patient.name", source=0)),
        parameters({"name": "operation", "part": [{"name": "path"}, {"name": "path"}]}),
    ],
)
def test_what_is_no_patch_is_invalid(document: Json) -> None:
    with pytest.raises(Invalid):
        FhirPathPatch(document, packaged())


def test_an_unknown_function_is_invalid() -> None:
    with pytest.raises(Invalid):
        apply(operation("delete", "Patient.name.grow()"))


def test_a_value_without_a_value_is_invalid() -> None:
    with pytest.raises(Invalid):
        apply(operation("add", "Patient", name="active", value={"id": "x"}))


def test_too_many_operations_are_refused() -> None:
    with pytest.raises(TooCostly):
        FhirPathPatch(parameters(*[None] * (MAX_OPERATIONS + 1)), packaged())


PATHS = st.sampled_from(
    [
        "Patient",
        "Patient.name",
        "Patient.name[0]",
        "Patient.name.given",
        "Patient.name.given[1]",
        "Patient.birthDate",
        "Patient.deceased",
        "Patient.contact",
        "Patient.telecom",
        "Patient.name.given.first()",
        "Patient.descendants()",
        "'x'",
        "{}",
    ]
)
GIVEN = st.sampled_from(
    [
        VALUE,
        {"valueBoolean": True},
        {"valueDate": "2020", "_valueDate": {"id": "a"}},
        {"valueHumanName": {"family": "B"}},
        {"part": [{"name": "gender", "valueCode": "male"}]},
        {"resource": {"resourceType": "Basic"}},
        {},
    ]
)
NAMES = st.sampled_from(
    ["name", "active", "deceased", "given", "id", "extension", "contained", "x"]
)
OPERATIONS = st.builds(
    lambda kind, path, name, value, numbers: operation(
        kind,
        path,
        name=name,
        value=value,
        index=numbers[0],
        source=numbers[0],
        destination=numbers[1],
    ),
    st.sampled_from(["add", "insert", "delete", "replace", "move"]),
    PATHS,
    NAMES,
    GIVEN,
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
)


@given(st.lists(OPERATIONS, max_size=4))
def test_a_patch_is_applied_or_refused_and_never_changed(operations: list[Json]) -> None:
    document = parameters(*operations)
    before = copy.deepcopy(document)
    try:
        result = FhirPathPatch(document, packaged()).apply(copy.deepcopy(ANNA))
    except FhirError as error:
        assert error.status in (400, 422)
    else:
        assert result["resourceType"] == "Patient"
    assert document == before


@given(st.integers(0, 2), st.integers(0, 2))
def test_moving_there_and_back_changes_nothing(source: int, destination: int) -> None:
    there = operation("move", "Patient.name.given", source=source, destination=destination)
    back = operation("move", "Patient.name.given", source=destination, destination=source)
    assert apply(there, back) == ANNA
