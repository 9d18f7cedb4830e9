"""The official FHIRPath suite: every case passes, or stands in the ledger with its reason.

The ledger (`fhirpath_ledger.yaml`) is strict: a case in it that passes fails the test.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhirserver.definitions.packaged import packaged
from fhirserver.fhirpath import (
    FhirPathError,
    FhirPathSyntaxError,
    FhirPathTypeError,
    Node,
    Services,
    check,
    compile,  # noqa: A004 - as in re
    element,
    evaluate,
)
from fhirserver.fhirpath.equality import equal_values
from fhirserver.fhirpath.parser import parse
from fhirserver.fhirpath.quantity import Quantity
from fhirserver.fhirpath.syntax import Literal
from fhirserver.model.json import Resource, decode
from fhirserver.xml import from_xml

SUITE = Path(__file__).resolve().parents[2] / "../shared/suites/fhirpath"
LEDGER = Path(__file__).with_name("fhirpath_ledger.yaml")

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(not SUITE.is_dir(), reason="../shared/suites is not there"),
]


@dataclass(frozen=True)
class Case:
    name: str
    expression: str
    input: str | None
    invalid: str | None
    strict: bool
    predicate: bool
    ordered: bool
    outputs: tuple[tuple[str | None, str], ...]


def cases() -> list[Any]:
    """The cases; names that occur twice are told apart by a number."""
    if not SUITE.is_dir():
        return []
    found = []
    seen: Counter[str] = Counter()
    for test in ET.parse(SUITE / "tests-fhir-r4.xml").getroot().iter("test"):
        expression = test.find("expression")
        assert expression is not None
        name = test.attrib["name"]
        seen[name] += 1
        if seen[name] > 1:
            name = f"{name}#{seen[name]}"
        outputs = tuple((out.get("type"), out.text or "") for out in test.findall("output"))
        case = Case(
            name,
            expression.text or "",
            test.get("inputfile"),
            expression.get("invalid"),
            test.get("mode") == "strict",
            test.get("predicate") == "true",
            test.get("ordered") != "false",
            outputs,
        )
        found.append(pytest.param(case, id=name))
    return found


@cache
def ledger() -> dict[str, str]:
    return yaml.safe_load(LEDGER.read_text()) or {}


@pytest.mark.parametrize("case", cases())
def test_case(case: Case) -> None:
    reason = ledger().get(case.name)
    try:
        judge(case)
    except AssertionError:
        if reason is None:
            raise
        pytest.xfail(reason)
    assert reason is None, f"{case.name} passes: take it out of the ledger"


def test_the_ledger_names_cases_of_the_suite() -> None:
    assert set(ledger()) <= {parameter.id for parameter in cases()}


def judge(case: Case) -> None:
    resource = load(case.input)
    if case.invalid is not None:
        judge_error(case, resource)
        return
    try:
        nodes = compile(case.expression).items(resource, services=NOW)
        values = evaluate(resource, case.expression)
    except FhirPathError as error:
        raise AssertionError(f"{case.expression}: {error}") from error
    assert len(values) == len(nodes)
    if case.predicate:
        nodes = [element(bool(nodes), "boolean")]
    assert len(nodes) == len(case.outputs), [str(node) for node in nodes]
    pairs = list(zip(nodes, case.outputs, strict=True))
    if case.ordered:
        assert all(agrees(node, *output) for node, output in pairs), nodes
    else:
        rest = list(case.outputs)
        for node in nodes:
            rest.remove(next(output for output in rest if agrees(node, *output)))


def judge_error(case: Case, resource: Resource) -> None:
    """A wrong syntax fails to compile, a wrong type fails the check, the rest fails to run."""
    match case.invalid:
        case "syntax":
            with Fails(FhirPathSyntaxError):
                compile(case.expression)
        case "semantic":
            with Fails(FhirPathTypeError):
                check(case.expression, resource["resourceType"])
        case _:
            with Fails(FhirPathError):
                evaluate(resource, case.expression)


class Fails:
    """Like pytest.raises, but a missing error is an AssertionError for the ledger."""

    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        assert kind is not None, f"{self.error.__name__} is expected"
        return issubclass(kind, self.error)


NOW = Services(now=lambda: datetime.now(UTC))

# The type that the suite gives to values of FHIRPath's own types.
SUITE_TYPES = {
    "System.Boolean": "boolean",
    "System.Integer": "integer",
    "System.Decimal": "decimal",
    "System.String": "string",
    "System.Date": "date",
    "System.DateTime": "dateTime",
    "System.Time": "time",
    "System.Quantity": "Quantity",
}


def agrees(node: Node, type_: str | None, text: str) -> bool:
    own = SUITE_TYPES.get(node.type, node.type)
    if type_ is not None and own != type_:
        return False
    found = node.value
    if own in ("boolean", "integer"):
        return str(found).lower() == text
    if own == "decimal":
        return Decimal(found) == Decimal(text) and (type_ is not None or str(found) == text)
    if own in ("date", "dateTime", "time"):
        return found == text.removeprefix("@").removeprefix("T")
    if own == "Quantity":
        wanted = parse(text)
        assert isinstance(wanted, Literal)
        quantity = Quantity(found["value"], found["code"], found["system"])
        return equal_values(quantity, wanted.value) is True
    return found == text


# --- inputs -----------------------------------------------------------------------------------


@cache
def load(name: str | None) -> Resource:
    """The resource of an input file."""
    if name is None:
        return {"resourceType": "Patient"}
    if name.endswith(".json"):
        resource: Resource = decode((SUITE / name).read_bytes())
        return resource
    return from_xml((SUITE / name).read_bytes(), packaged())
