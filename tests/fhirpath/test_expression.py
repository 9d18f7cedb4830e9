from __future__ import annotations

import gzip
import sys
import threading
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import Invalid
from fhirserver.fhirpath import (
    Expression,
    FhirPathError,
    FhirPathExecutionError,
    FhirPathSyntaxError,
    Services,
    compile,  # noqa: A004 - as in re
    element,
    evaluate,
    resource_node,
)
from fhirserver.model.json import Resource, decode


def test_evaluate_gives_plain_values(patient: Resource) -> None:
    assert evaluate(patient, "Patient.name.given") == ["Peter", "James", "Jim", "Peter"]
    assert evaluate(patient, "name.period") == [{"end": "2002"}]
    assert evaluate(patient, "birthDate | @2012 | @2012-01-01T10:00:00Z | @T10:30") == [
        "1974-12-25",
        "2012",
        "2012-01-01T10:00:00Z",
        "10:30",
    ]
    assert evaluate(patient, "4 'mg'") == [
        {"value": Decimal(4), "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}
    ]


def test_evaluate_gives_the_elements_themselves(patient: Resource) -> None:
    assert evaluate(patient, "name[0]")[0] is patient["name"][0]


def test_evaluate_works_on_any_json() -> None:
    assert evaluate({"a": [{"b": 1.5}, {"b": "x"}]}, "a.b") == [Decimal("1.5"), "x"]
    assert evaluate({"resourceType": "Unheard", "a": 1}, "Unheard.a") == [1]
    assert evaluate([1, 2], "count()") == [2]
    assert evaluate({"a": {"resourceType": "Patient", "deceasedBoolean": True}}, "a.deceased") == [
        True
    ]


def test_variables(patient: Resource) -> None:
    environment: dict[str, Any] = {
        "%a": 1,
        "list": ["x", None, "y"],
        "patient": patient,
        "day": date(2012, 2, 1),
        "moment": datetime(2012, 2, 1, tzinfo=UTC),
        "none": None,
        "odd name": 1.5,
    }
    assert evaluate({}, "%a + 1", environment) == [2]
    assert evaluate({}, "%list", environment) == ["x", "y"]
    assert evaluate({}, "%patient.birthDate < %day and %day < %moment + 1 day", environment) == [
        True
    ]
    assert evaluate({}, "%none", environment) == []
    assert evaluate({}, "%`odd name` = 1.5", environment) == [True]
    assert evaluate(patient, "%resource.id | %context.id | %rootResource.id") == ["p1"]
    assert evaluate(
        patient, "%resource.id", {"resource": {"resourceType": "Group", "id": "g"}}
    ) == ["g"]
    with pytest.raises(FhirPathError, match="not a value of FHIRPath"):
        evaluate({}, "%x", {"x": object()})


def test_errors_are_refusals_with_a_place() -> None:
    with pytest.raises(Invalid) as refused:
        evaluate({}, "1 +\n  ('a' | 'b').length()")
    error = refused.value
    assert isinstance(error, FhirPathExecutionError)
    assert (error.line, error.column) == (2, 15)
    assert "line 2, column 15" in error.text


def test_select_and_locate_agree_with_evaluate(patient: Resource) -> None:
    for text in (
        "Patient.name.given",
        "contained.id",
        "birthDate.extension",
        "name.where(use = 'usual')",
    ):
        expression = compile(text)
        plain = expression.evaluate(patient)
        assert [node.value for node in expression.select(patient)] == plain
        assert [node.value for node in expression.locate(patient)] == plain


def test_locations(patient: Resource, observation: Resource) -> None:
    def paths(resource: Resource, expression: str) -> list[str]:
        return [node.path for node in compile(expression).locate(resource)]

    assert paths(patient, "name.given") == [
        "Patient.name[0].given[0]",
        "Patient.name[0].given[1]",
        "Patient.name[1].given[0]",
        "Patient.name[2].given[0]",
    ]
    assert paths(observation, "value | component.value.ofType(string)") == [
        "Observation.value",
        "Observation.component[0].value",
        "Observation.component[1].value",
    ]
    assert paths(patient, "contained.name") == ["Patient.contained[0].name"]
    assert paths(patient, "name.count()") == []
    assert paths(patient, "descendants().where($this is Period)") == ["Patient.name[2].period"]
    assert compile("name").select(patient)[0].path == ""


def test_select_may_resolve_references(patient: Resource) -> None:
    expression = compile("Patient.generalPractitioner.where(resolve() is Person)")
    assert expression.select(patient) == []
    found = expression.select(patient, lambda reference: {"resourceType": "Person", "id": "1"})
    assert [node.value["reference"][:8] for node in found] == ["urn:uuid"]
    resolved = compile("generalPractitioner.resolve().id")
    nodes = resolved.select(patient, lambda _: {"resourceType": "Person", "id": "1"})
    assert [node.value for node in nodes] == ["1", "1", "1"]


def test_invariants_hold_for_elements(patient: Resource) -> None:
    root = resource_node(patient)
    period = element({"start": "2012", "end": "2011"}, "Period")
    invariant = compile("start.hasValue().not() or end.hasValue().not() or (start <= end)")
    assert invariant.holds(period, root) is False
    assert invariant.holds(element({"start": "2012"}, "Period"), root) is True
    assert invariant.holds(element({"start": "2012", "end": "2012-01"}, "Period")) is None
    contact = element({"telecom": [{"value": "1"}]}, "Patient.contact")
    assert contact.type == "BackboneElement"
    assert compile("telecom.value = '1' and %resource.id = 'p1'").holds(contact, root) is True
    assert compile("%rootResource.id").select_from(contact, contact, root)[0].value == "p1"
    date_ = element("2012", "date", {"extension": [{"url": "x"}]})
    assert compile("hasValue() and extension.url = 'x'").holds(date_) is True
    reference = element({"reference": "#org"}, "Reference")
    local = compile("reference.substring(1) in %rootResource.contained.id")
    assert local.holds(reference, root) is True


def test_items_are_typed(observation: Resource) -> None:
    found = compile("value | status | 1 | 4 'mg'").items(observation)
    assert [node.type for node in found] == [
        "Quantity",
        "code",
        "System.Integer",
        "System.Quantity",
    ]


def test_compiled_expressions_are_shared_unless_they_are_huge() -> None:
    assert compile("name.given") is compile("name.given")
    long = " | ".join(["name.given"] * 100)
    assert compile(long) is compile(long)
    huge = " | ".join(["name.given"] * 1000)
    assert compile(huge) is not compile(huge)


def test_threads_share_expressions(patient: Resource) -> None:
    wrong: list[object] = []
    expression = Expression("name.where(given.exists($this = 'Jim')).select(given & use)")

    def work() -> None:
        for _ in range(200):
            found = expression.evaluate(patient)
            if found != ["Jimusual"]:
                wrong.append(found)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_resource_is_never_changed(patient: Resource) -> None:
    import copy

    before = copy.deepcopy(patient)
    for text in ("descendants()", "name | telecom", "name.sort(use)", "name.given.distinct()"):
        found = evaluate(patient, text)
        found.clear()
    assert patient == before
    assert evaluate({}, "true | {}") == [True]
    answer = evaluate({}, "1 = 1")
    answer.append("x")
    assert evaluate({}, "1 = 1") == [True]


@pytest.mark.parametrize(
    "expression",
    [
        "1.repeatAll($this)",
        "1.repeat($this + 1)",
        "'a'.repeatAll($this & 'a')",
        "(1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17|18|19|20|21|22|23|24|25)"
        ".aggregate(iif($total.empty(), $this, $total.combine($total)))",
        "(1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17|18|19|20|21|22|23|24|25)"
        ".aggregate($total & $total, 'ab')",
        "%n.select(%n.select(%n.select(%n)))",
        "%n.where(%n.where(%n.where(%n.empty()).exists()).exists())",
        "%n.select(%n.select(%n.join('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')))",
        "%n.select(%n.select(%n.first().replace('', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')"
        ".replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')))",
    ],
)
def test_runaway_expressions_are_stopped(expression: str) -> None:
    with pytest.raises(FhirPathExecutionError, match=r"at most|too much|come to an end"):
        evaluate({}, expression, {"n": [str(number) for number in range(300)]})


def test_deep_resources_do_not_crash() -> None:
    deep: dict[str, Any] = {"linkId": "x"}
    for _ in range(sys.getrecursionlimit()):
        deep = {"linkId": "x", "item": [deep]}
    resource = {"resourceType": "Questionnaire", "item": [deep]}
    other = {"resourceType": "Questionnaire", "item": [{**deep}]}
    assert evaluate(resource, "descendants().linkId.count()")[0] > 1000
    assert evaluate(resource, "item.item.linkId") == ["x"]
    with pytest.raises(FhirPathExecutionError, match="nests too deeply"):
        evaluate(resource, "item = %other.item.select($this).skip(0)", {"other": _copy(other)})


def _copy(resource: Resource) -> Resource:
    """A copy whose innermost texts differ in spelling only, made without recursion."""
    top: dict[str, Any] = {"resourceType": "Questionnaire", "item": [{}]}
    source, target = resource["item"][0], top["item"][0]
    while True:
        target["linkId"] = source["linkId"]
        if "item" not in source:
            target["linkId"] = "y"
            return top
        target["item"] = [{}]
        source, target = source["item"][0], target["item"][0]


def test_unknown_functions_and_types_are_refused_when_compiled(patient: Resource) -> None:
    for text in ("Person.nothing() | Patient.name", "Person.x as Nothing | Patient.name"):
        with pytest.raises(FhirPathError):
            compile(text).select(patient)
    with pytest.raises(FhirPathSyntaxError):
        compile("name.")


def test_services_are_optional() -> None:
    assert Services() == Services(resolve=None)


@pytest.mark.conformance
def test_all_search_parameters_select_the_same_in_both_ways(shared: Path) -> None:
    """The compiled walks against following step by step, on every kind of real resource."""
    seen: dict[str, int] = {}
    for path in islice(sorted((shared / "data/synthea").glob("*.json.gz")), 3):
        for entry in decode(gzip.decompress(path.read_bytes()))["entry"]:
            resource = entry["resource"]
            type_ = resource["resourceType"]
            seen[type_] = seen.get(type_, 0) + 1
            if seen[type_] > 10:
                continue
            for parameter in packaged().search_parameters(type_).values():
                if not parameter.expression:
                    continue
                expression = compile(parameter.expression)
                selected = [node.value for node in expression.select(resource)]
                located = expression.locate(resource)
                if "exists() and" not in parameter.expression:
                    assert selected == [node.value for node in located], parameter.expression
                for node in located:
                    assert evaluate(resource, node.path) == [node.value]
    assert len(seen) > 10
