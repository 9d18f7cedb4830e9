"""The rules written out give the answers of the FHIRPath that they stand for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.definitions import packaged
from fhirserver.fhirpath import compile as compiled
from fhirserver.fhirpath import element, resource_node
from fhirserver.validation.native import NATIVE
from fhirserver.validation.scope import Scope

R4 = packaged()
SETTLED = {expression for expression, rule in NATIVE.items() if rule.__name__ == "_always"}
# R4 asks for FHIRPath's Boolean, which no element is: the words of the rule are followed.
MENDED = {"operator = 'exists' implies (answer is Boolean)"}


def places() -> dict[str, str]:
    """The type or element that each expression is a rule of."""
    found = {}
    for name in R4.types:
        structure = R4.structure(name)
        assert structure is not None
        for item in structure.elements.values():
            for constraint in item.constraints:
                if constraint.expression in NATIVE:
                    found[constraint.expression] = item.path
    found["comparator.empty()"] = "Quantity"  # of the profile SimpleQuantity
    return found


PLACES = places()


def test_every_rule_is_one_of_r4() -> None:
    assert set(PLACES) == set(NATIVE)


CODE = st.sampled_from(["a", "b", "entered-in-error", "resolved", "exists", "="])
SYSTEM = st.sampled_from(
    [
        "http://terminology.hl7.org/CodeSystem/condition-ver-status",
        "http://terminology.hl7.org/CodeSystem/condition-clinical",
        "s",
    ]
)
DATE = st.sampled_from(
    [
        "2020",
        "2020-01",
        "2020-01-01",
        "2020-01-02",
        "2020-01-01T10:00:00Z",
        "2020-01-01T10:00:00.5Z",
        "2020-01-01T09:00:00-02:00",
        "2020-01-01T11:00:00+01:00",
    ]
)
EXTRA = st.just({"extension": [{"url": "http://u", "valueCode": "a"}]})
CODING = st.fixed_dictionaries({}, optional={"system": SYSTEM, "code": CODE})
CONCEPT = st.fixed_dictionaries({}, optional={"coding": st.lists(CODING, min_size=1, max_size=2)})
QUANTITY = st.fixed_dictionaries(
    {},
    optional={"value": st.integers(-2, 2), "unit": st.just("u"), "code": st.just("mg"),
              "system": st.just("http://unitsofmeasure.org")},
)  # fmt: skip
REFERENCE = st.fixed_dictionaries({"reference": st.sampled_from(["#", "#c", "#d", "Patient/a"])})
CONTAINED = st.fixed_dictionaries(
    {"resourceType": st.just("Basic"), "id": st.sampled_from(["c", "d"])},
    optional={
        "subject": REFERENCE,
        "meta": st.fixed_dictionaries({}, optional={"versionId": st.just("1"),
                                                    "security": st.lists(CODING, min_size=1)}),
    },
)  # fmt: skip
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "CodeableConcept": CONCEPT,
    "Coding": CODING,
    "Quantity": QUANTITY,
    "Reference": REFERENCE,
    "dateTime": DATE,
    "code": CODE,
    "uri": st.just("http://u"),
    "string": CODE,
    "decimal": st.integers(-2, 2),
    "positiveInt": st.integers(1, 3),
    "unsignedInt": st.integers(0, 3),
    "boolean": st.booleans(),
    "Resource": CONTAINED,
    "Narrative": st.fixed_dictionaries({}, optional={"div": st.just("<div>a</div>")}),
    "Extension": st.just({"url": "http://u", "valueCode": "a"}),
    "Period": st.fixed_dictionaries({"start": DATE}),
    "Observation.component": st.fixed_dictionaries({"code": CONCEPT}),
    "ContactPoint": st.just({"value": "1"}),
    "HumanName": st.just({"family": "a"}),
}


@st.composite
def values(draw: st.DrawFn, path: str) -> dict[str, Any]:
    """An object at a path with some of its elements."""
    found: dict[str, Any] = {}
    for name, child in R4.children(path).items():
        strategy = VALUES.get(child.path)
        if strategy is None or draw(st.integers(0, 2)) == 0:
            continue
        many = child.element.max != 1
        if child.path[0].islower() and not many and draw(st.integers(0, 4)) == 0:
            found[f"_{name}"] = draw(EXTRA)
            continue
        found[name] = draw(st.lists(strategy, min_size=1, max_size=2) if many else strategy)
    return found


@pytest.mark.parametrize("expression", sorted(set(NATIVE) - SETTLED - MENDED))
@given(st.data())
def test_the_answer_is_that_of_fhirpath(expression: str, data: st.DataObject) -> None:
    path = PLACES[expression]
    whole = path in ("DomainResource", "Observation", "Condition")
    type = "Observation" if path == "DomainResource" else path
    value = data.draw(values(type if whole else path))
    if whole:
        resource = value | {"resourceType": type}
        node = resource_node(resource)
        value = resource
    else:
        contained = data.draw(st.lists(CONTAINED, min_size=1, max_size=2))
        resource = {"resourceType": "Basic", "contained": contained}
        node = element(value, path)
    native = NATIVE[expression](value, Scope(resource))
    if native is None:
        return
    told = compiled(expression).holds(node, resource_node(resource), resource_node(resource))
    if told is None:
        assert native is True
    elif expression.startswith("reference.startsWith") and value.get("reference") == "#":
        assert native is True  # the container, which the expression forgets
    else:
        assert native is told
