"""Existence, filtering, subsetting, combining, aggregates, navigation, and variables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.fhirpath import (
    FhirPathError,
    FhirPathExecutionError,
    FhirPathSyntaxError,
    Services,
    compile,  # noqa: A004 - as in re
    evaluate,
)
from fhirserver.model.json import Resource

LISTS = st.lists(st.integers(0, 4), max_size=6)


@given(LISTS, LISTS)
def test_collections_behave_as_lists(ours: list[int], theirs: list[int]) -> None:
    def run(expression: str) -> list[object]:
        return evaluate({}, expression, {"a": ours, "b": theirs})

    assert run("%a.combine(%b)") == ours + theirs
    assert run("%a | %b") == list(dict.fromkeys(ours + theirs))
    assert run("%a.union(%b)") == run("%a | %b")
    assert run("%a.intersect(%b)") == [x for x in dict.fromkeys(ours) if x in theirs]
    assert run("%a.exclude(%b)") == [x for x in ours if x not in theirs]
    assert run("%a.distinct()") == list(dict.fromkeys(ours))
    assert run("%a.isDistinct()") == [len(set(ours)) == len(ours)]
    assert run("%a.subsetOf(%b)") == [set(ours) <= set(theirs)]
    assert run("%a.supersetOf(%b)") == [set(ours) >= set(theirs)]
    assert run("%a.count()") == [len(ours)]
    assert run("%a.first()") == ours[:1]
    assert run("%a.last()") == ours[-1:]
    assert run("%a.tail()") == ours[1:]
    assert run("%a.where($this > 1)") == [x for x in ours if x > 1]
    assert run("%a.select($this + $index)") == [x + i for i, x in enumerate(ours)]
    assert run("%a.all($this < 4)") == [all(x < 4 for x in ours)]
    assert run("%a.exists($this = 4)") == [4 in ours]
    assert run("%a.sort()") == sorted(ours)
    assert run("%a.sort($this desc)") == sorted(ours, reverse=True)
    assert run("%a.aggregate($this + $total, 0)") == [sum(ours)]


@given(LISTS, st.integers(-2, 8))
def test_subsetting(items: list[int], count: int) -> None:
    values = {"a": items, "n": count}
    assert evaluate({}, "%a.skip(%n)", values) == items[max(0, count) :]
    assert evaluate({}, "%a.take(%n)", values) == items[: max(0, count)]
    inside = [items[count]] if 0 <= count < len(items) else []
    assert evaluate({}, "%a[%n]", values) == inside


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("(true | false).allTrue()", False),
        ("(true | false).anyTrue()", True),
        ("(true | false).allFalse()", False),
        ("(true | false).anyFalse()", True),
        ("{}.allTrue()", True),
        ("{}.anyTrue()", False),
        ("{}.all($this = 1)", True),
        ("{}.exists()", False),
    ],
)
def test_booleans_of_a_collection(expression: str, result: bool) -> None:
    assert evaluate({}, expression) == [result]


def test_sorting_by_several_keys(patient: Resource) -> None:
    assert evaluate(patient, "name.sort(family desc).use") == ["maiden", "official", "usual"]
    assert evaluate(patient, "name.sort(given.first(), -use).use") == [
        "usual",
        "official",
        "maiden",
    ]
    with pytest.raises(FhirPathExecutionError, match="no order"):
        evaluate(patient, "name.sort()")
    with pytest.raises(FhirPathExecutionError, match="no order"):
        evaluate({}, "(1).combine('a').sort()")


def test_repeat_finds_what_is_nested() -> None:
    item = {"linkId": "1", "item": [{"linkId": "1.1", "item": [{"linkId": "1.1.1"}]}]}
    questionnaire = {"resourceType": "Questionnaire", "item": [item, {"linkId": "2"}]}
    assert evaluate(questionnaire, "repeat(item).linkId") == ["1", "2", "1.1", "1.1.1"]
    assert evaluate(questionnaire, "repeatAll(item).linkId") == ["1", "2", "1.1", "1.1.1"]
    assert evaluate({}, "1.repeat(iif($this < 4, $this + 1))") == [2, 3, 4]


def test_navigation_goes_through_everything(patient: Resource) -> None:
    assert evaluate(patient, "name[0].children()") == ["official", "Chalmers", "Peter", "James"]
    assert evaluate(patient, "birthDate.children().url") == ["http://example.org/birthTime"]
    assert evaluate(patient, "descendants().ofType(Period).end") == ["2002"]
    assert evaluate(patient, "descendants().where($this is Organization).name") == ["Acme"]
    assert evaluate({"a": {"b": [1, 2]}}, "descendants().count()") == [3]
    assert evaluate({"a": {"b": [1, 2]}}, "a.b.where($this > 1)") == [2]


def test_variables_last_as_long_as_their_chain(patient: Resource) -> None:
    def run(expression: str) -> list[object]:
        return evaluate(patient, expression)

    assert run("defineVariable('v', 1).select(%v + 1)") == [2]
    assert run("name.defineVariable('n').select(%n.count())") == [3, 3, 3]
    assert run("name.select(defineVariable('n').given.select(%n.use & $this))")[:2] == [
        "officialPeter",
        "officialJames",
    ]
    assert run("defineVariable('a', 1).select(%a) | defineVariable('a', 2).select(%a)") == [1, 2]
    for outside in (
        "defineVariable('a', 1).active and %a",
        "select(defineVariable('a', 1).id).select(%a)",
        "defineVariable('a', 1).defineVariable('a', 2)",
        "defineVariable('resource')",
        "defineVariable('ucum', 1)",
    ):
        with pytest.raises(FhirPathExecutionError, match=r"no variable|defined already"):
            run(outside)


def test_coalesce_takes_the_first_that_is_there(patient: Resource) -> None:
    assert evaluate(patient, "coalesce(gender, name[1].given, 1 div 'x')") == ["Jim"]
    assert evaluate(patient, "coalesce({}, gender)") == []


def test_iif_evaluates_only_what_it_gives() -> None:
    assert evaluate({}, "iif(true, 1, 'a' div 2)") == [1]
    assert evaluate({}, "iif({}, 'a' div 2, 2)") == [2]
    assert evaluate({}, "iif(false, 1)") == []
    with pytest.raises(FhirPathExecutionError):
        evaluate({}, "(1 | 2).iif(true, 1)")


def test_trace_tells_the_caller_and_changes_nothing(patient: Resource) -> None:
    told: list[tuple[str, list[object]]] = []
    services = Services(trace=lambda name, items: told.append((name, items)))
    expression = compile("name.trace('a', use).given.trace('b').count()")
    assert expression.evaluate(patient, services=services) == [4]
    assert told == [
        ("a", ["official", "usual", "maiden"]),
        ("b", ["Peter", "James", "Jim", "Peter"]),
    ]
    assert expression.evaluate(patient) == [4]


@pytest.mark.parametrize(
    "expression",
    ["$total", "name.single()", "%unknown", "name.as(HumanName)", "1.nothing()",
     "name.where()", "empty(1)", "name.is(1)", "name.select(a, b)", "iif(true)", "ofType('x')",
     "name is Unknown", "now().ofType(FHIR.None)"],
)  # fmt: skip
def test_misuse_is_refused_with_its_place(patient: Resource, expression: str) -> None:
    with pytest.raises(FhirPathError) as refused:
        evaluate(patient, expression)
    assert refused.value.line == 1


def test_the_number_of_arguments_is_told() -> None:
    with pytest.raises(FhirPathSyntaxError, match=r"iif\(\) takes 2 to 3 arguments"):
        evaluate({}, "iif(true)")
    with pytest.raises(FhirPathSyntaxError, match=r"where\(\) takes 1 argument\."):
        evaluate({}, "where()")
    with pytest.raises(FhirPathSyntaxError, match=r"coalesce\(\) takes 1 or more arguments"):
        evaluate({}, "coalesce()")
