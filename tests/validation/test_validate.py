"""Validation as a whole: planted faults are found where they are, and nothing else is."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.definitions import Definitions, packaged
from fhirserver.model.json import Resource, decode, encode
from fhirserver.validation import Issue, examine, validate
from fhirserver.validation.finding import MOST

R4 = packaged()

EXTENSION = {
    "url": "http://example.org/e",
    "valueCodeableConcept": {"coding": [{"system": "http://c", "code": "a"}]},
}
PHONE = {"system": "phone", "value": "1"}
PATIENT = {
    "resourceType": "Patient",
    "id": "p",
    "meta": {"profile": ["http://example.org/p"], "lastUpdated": "2020-01-01T00:00:00Z"},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
    "contained": [{"resourceType": "Organization", "id": "o", "name": "O", "telecom": [PHONE]}],
    "managingOrganization": {"reference": "#o"},
    "extension": [EXTENSION, {"url": "http://u", "extension": [EXTENSION]}],
    "identifier": [{"system": "http://s", "value": "1", "period": {"start": "2020"}}],
    "active": True,
    "name": [{"given": ["A", "B"], "_given": [None, {"extension": [EXTENSION]}]}],
    "birthDate": "1970-01-01",
    "_birthDate": {"extension": [EXTENSION]},
    "deceasedDateTime": "2020-01-01T00:00:00Z",
    "multipleBirthInteger": 2,
    "contact": [{"name": {"family": "X"}, "period": {"end": "2020-02"}}],
    "communication": [{"language": {"text": "en"}, "preferred": True}],
    "link": [{"other": {"reference": "Patient/1"}, "type": "seealso"}],
}
OBSERVATION = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
    "effectivePeriod": {"start": "2020-01-01"},
    "valueQuantity": {"value": 1, "unit": "mmHg"},
    "referenceRange": [{"low": {"value": 1}}],
    "component": [{"code": {"text": "c"}, "valueString": "a", "referenceRange": [{"text": "t"}]}],
}
QUESTIONNAIRE = {
    "resourceType": "Questionnaire",
    "status": "draft",
    "item": [
        {
            "linkId": "1",
            "type": "group",
            "item": [
                {
                    "linkId": "2",
                    "type": "choice",
                    "answerOption": [{"valueCoding": {"code": "a"}}],
                    "enableWhen": [{"question": "1", "operator": "=", "answerBoolean": True}],
                }
            ],
        }
    ],
}
BUNDLE = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": f"urn:uuid:{number}",
            "resource": resource,
            "request": {"method": "POST", "url": resource["resourceType"]},
        }
        for number, resource in enumerate((PATIENT, OBSERVATION, QUESTIONNAIRE))
    ],
}
RESOURCES = st.sampled_from([PATIENT, OBSERVATION, QUESTIONNAIRE, BUNDLE]).map(
    lambda resource: decode(encode(resource))
)


class Node(NamedTuple):
    """An object within a resource, with the path of its definition and its place."""

    value: dict[str, Any]
    path: str
    expression: str


def nodes(value: dict[str, Any], path: str, expression: str) -> Iterator[Node]:
    yield Node(value, path, expression)
    for name, item in value.items():
        partner = name[0] == "_"
        child = R4.children(path).get(name.removeprefix("_"))
        if child is None:
            continue
        step = f"{expression}.{child.element.name}"
        step += f".ofType({child.type})" if child.element.choice else ""
        many = isinstance(item, list)
        for index, inner in enumerate(item if many else [item]):
            if isinstance(inner, dict):
                below = "Element" if partner else inner.get("resourceType", child.path)
                yield from nodes(inner, below, f"{step}[{index}]" if many else step)


def drawn(resource: Resource, data: st.DataObject) -> Node:
    type_ = resource["resourceType"]
    return data.draw(st.sampled_from(list(nodes(resource, type_, type_))))


def errors(resource: Any) -> list[Issue]:
    return [issue for issue in validate(resource) if issue.is_error]


def places(resource: Resource) -> list[tuple[str, str]]:
    return [(issue.code, issue.expression) for issue in errors(resource)]


@given(RESOURCES)
def test_the_samples_are_valid(resource: Resource) -> None:
    assert errors(resource) == []


@given(RESOURCES, st.data())
def test_an_unknown_element_is_found_where_it_is(resource: Resource, data: st.DataObject) -> None:
    node = drawn(resource, data)
    node.value["zzz"] = data.draw(st.sampled_from([1, "a", None, [], {}]))
    assert places(resource) == [("structure", f"{node.expression}.zzz")]


@given(RESOURCES, st.data())
def test_a_missing_element_is_found_where_it_lacks(resource: Resource, data: st.DataObject) -> None:
    node = drawn(resource, data)
    children = R4.children(node.path)
    needed = [name for name in node.value if name in children and children[name].element.min]
    if not needed or len(node.value) == 1:
        return
    del node.value[data.draw(st.sampled_from(needed))]
    assert places(resource) == [("required", node.expression)]


@given(RESOURCES, st.data())
def test_a_value_of_another_type_is_found_where_it_is(
    resource: Resource, data: st.DataObject
) -> None:
    node = drawn(resource, data)
    children = R4.children(node.path)
    name = data.draw(st.sampled_from([name for name in node.value if name in children]))
    wrong = {"zzz": 1} if not isinstance(node.value[name], dict) else "zzz"
    node.value[name] = wrong
    step = f"{node.expression}.{children[name].element.name}"
    found = [(code, expression.replace("`", "")) for code, expression in places(resource)]
    assert any(expression.startswith(step) for _, expression in found)
    # Who refers to what has no good id any more is told as well.
    assert all(code == "invariant" or expression.startswith(step) for code, expression in found)


@given(RESOURCES, st.data())
def test_two_of_a_choice_are_found_where_they_are(resource: Resource, data: st.DataObject) -> None:
    node = drawn(resource, data)
    made = [
        (choice, names)
        for choice, names in R4.choices(node.path).items()
        if not node.value.keys().isdisjoint(names)
    ]
    if not made:
        return
    choice, names = data.draw(st.sampled_from(made))
    other = data.draw(st.sampled_from([name for name in names if name not in node.value]))
    node.value[f"_{other}" if R4.children(node.path)[other].type == "boolean" else other] = None
    assert ("structure", f"{node.expression}.{choice}") in places(resource)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=3)
            | st.sampled_from(
                ["resourceType", "id", "contained", "extension", "name", "_given", "valueCode"]
            ),
            inner | st.sampled_from(["Patient", "Bundle", "http://u"]),
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON, st.sampled_from(["Patient", "Bundle", "Parameters", "Observation", None]))
def test_arbitrary_json_never_raises(value: Any, type: str | None) -> None:
    if isinstance(value, dict) and type:
        value["resourceType"] = type
    assert all(issue.text for issue in validate(value, ["http://p"]))


@given(RESOURCES, JSON, st.data())
def test_arbitrary_json_within_a_resource_never_raises(
    resource: Resource, value: Any, data: st.DataObject
) -> None:
    node = drawn(resource, data)
    node.value[data.draw(st.sampled_from(sorted(node.value)))] = value
    assert all(issue.text for issue in validate(resource))


def nested(levels: int) -> Resource:
    extension: dict[str, Any] = {"url": "http://u", "valueCode": "a"}
    for _ in range(levels):
        extension = {"url": "http://u", "extension": [extension]}
    return {"resourceType": "Patient", "extension": [extension]}


def test_200_levels_are_checked() -> None:
    assert errors(nested(200)) == []


def test_endless_levels_are_refused() -> None:
    (issue,) = validate(nested(20_000))
    assert (issue.severity, issue.code) == ("error", "too-costly")


def test_a_hostile_resource_gets_no_more_findings_than_can_be_read() -> None:
    names = [{f"x{index}": 1} for index in range(5 * MOST)]
    issues = validate({"resourceType": "Patient", "name": names})
    assert len(issues) == MOST + 1
    assert issues[-1].severity == "information"


def test_no_error_is_lost_behind_what_is_only_warned_of_or_asked() -> None:
    unknown = [{"url": f"http://e/{index}", "valueCode": "a"} for index in range(2 * MOST)]
    issues = validate({"resourceType": "Patient", "extension": unknown, "gender": "man"})
    assert [issue.expression for issue in issues if issue.is_error] == ["Patient.gender"]
    assert len(issues) == MOST + 1


def test_other_definitions_can_be_given() -> None:
    empty = Definitions.of([])
    assert [issue.code for issue in validate(PATIENT, definitions=empty)] == ["value"]


# Official examples that are invalid, and why.
LEDGER = Path(__file__).parents[1] / "conformance/examples_ledger.yaml"


@pytest.mark.slow
def test_official_examples_are_valid_but_for_those_that_are_not(definitions_package: Path) -> None:
    files = [path for path in definitions_package.glob("*.json") if path.name != "package.json"]
    found = {path.name for path in files if errors(decode(path.read_bytes()))}
    assert len(files) > 5300
    assert found == set(yaml.safe_load(LEDGER.read_text()))


@pytest.mark.slow
def test_synthetic_patients_are_valid(shared: Path) -> None:
    checked = 0
    for path in sorted((shared / "data/synthea").glob("*.gz")):
        bundle = decode(gzip.decompress(path.read_bytes()))
        assert errors(bundle) == []
        checked += len(bundle["entry"])
    assert checked == 17_197


@pytest.mark.parametrize("is_contained", [False, True])
def test_the_caller_tells_what_references_lead_to(is_contained: bool) -> None:
    url = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "c"},
        "subject": {"reference": url},
    }
    resource: Resource = observation
    if is_contained:
        inner = observation | {"id": "o"}
        resource = {
            "resourceType": "Observation",
            "contained": [inner],
            "status": "final",
            "code": {"text": "c"},
            "hasMember": [{"reference": "#o"}],
        }
    right, wrong = (
        examine(resource, advice=False, types={url: type}) for type in ("Patient", "Practitioner")
    )
    assert examine(resource, advice=False).questions == right.questions == []
    place = "Observation.contained[0].subject" if is_contained else "Observation.subject"
    assert [issue.expression for issue in wrong.closed() if issue.is_error] == [place]
