from __future__ import annotations

from hypothesis import given
from strategies.fhirpath_expressions import EXPRESSIONS

from fhirserver.definitions.packaged import packaged
from fhirserver.fhirpath.parser import parse
from fhirserver.fhirpath.printer import text
from fhirserver.fhirpath.syntax import Expr, Union, walk


@given(EXPRESSIONS)
def test_a_printed_expression_parses_to_itself(expression: Expr) -> None:
    printed = text(expression)
    assert parse(printed) == expression, printed


def test_every_expression_of_the_standard_survives_printing() -> None:
    definitions = packaged()
    found = {
        parameter.expression
        for type_ in definitions.resource_types
        for parameter in definitions.search_parameters(type_).values()
        if parameter.expression
    }
    found |= {
        constraint.expression
        for name in definitions.types
        if (structure := definitions.structure(name)) is not None
        for element in structure.elements.values()
        for constraint in element.constraints
        if constraint.expression
    }
    assert len(found) > 1400
    for expression in found:
        parsed = parse(expression)
        assert parse(text(parsed)) == parsed


def test_walk_visits_every_part_with_its_depth() -> None:
    found = list(walk(parse("a.b | c + 1")))
    assert found[0][1] == 1
    assert isinstance(found[0][0], Union)
    assert sorted(depth for _, depth in found) == [1, 2, 2, 3, 3, 3]
