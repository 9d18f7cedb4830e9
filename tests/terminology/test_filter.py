import pytest

from fhirserver.definitions.code_system import code_system
from fhirserver.definitions.value_set import Filter
from fhirserver.terminology.filter import test as make
from fhirserver.terminology.hierarchy import Hierarchy

SYSTEM = code_system(
    {
        "url": "http://c",
        "content": "complete",
        "concept": [
            {
                "code": "a",
                "display": "Root",
                "concept": [
                    {"code": "b", "property": [{"code": "colour", "valueString": "red"}]},
                    {"code": "c", "property": [{"code": "fixed", "valueBoolean": True}]},
                ],
            },
            {"code": "d", "property": [{"code": "group", "valueCoding": {"code": "g"}}]},
        ],
    }
)


@pytest.mark.parametrize(
    ("property", "op", "value", "expected"),
    [
        ("concept", "is-a", "a", "abc"),
        ("concept", "descendent-of", "a", "bc"),
        ("concept", "is-not-a", "a", "d"),
        ("concept", "generalizes", "b", "ab"),
        ("concept", "=", "d", "d"),
        ("code", "in", "a, d", "ad"),
        ("code", "not-in", "a,d", "bc"),
        ("code", "regex", "[ab]", "ab"),
        ("code", "regex", "", ""),
        ("display", "=", "Root", "a"),
        ("parent", "=", "a", "bc"),
        ("parent", "exists", "false", "ad"),
        ("colour", "=", "red", "b"),
        ("colour", "exists", "true", "b"),
        ("fixed", "=", "true", "c"),
        ("group", "=", "g", "d"),
    ],
)
def test_concepts_that_meet_a_filter(property: str, op: str, value: str, expected: str) -> None:
    holds = make(Filter(property, op, value), SYSTEM, Hierarchy(SYSTEM))
    assert holds is not None
    assert "".join(code for code, item in SYSTEM.concepts.items() if holds(item)) == expected


@pytest.mark.parametrize(
    ("property", "op", "value"),
    [("concept", "child-of", "a"), ("colour", "is-a", "red"), ("code", "regex", "(")],
)
def test_a_filter_that_is_not_understood_is_unknown(property: str, op: str, value: str) -> None:
    assert make(Filter(property, op, value), SYSTEM, Hierarchy(SYSTEM)) is None
