from __future__ import annotations

import pytest

from fhirserver.definitions.packaged import packaged
from fhirserver.fhirpath import FhirPathError, FhirPathSyntaxError, FhirPathTypeError, check

# Invariants of R4 itself that name elements their context does not have.
FAULTY = {"cid-0", "ras-1"}


@pytest.mark.parametrize(
    ("expression", "types", "many"),
    [
        ("Patient.name", {"HumanName"}, True),
        ("name.given", {"string"}, True),
        ("birthDate", {"date"}, False),
        ("name.first().period.start", {"dateTime"}, False),
        ("contact", {"Patient.contact"}, True),
        ("deceased", {"boolean", "dateTime"}, False),
        ("deceased as dateTime", {"dateTime"}, False),
        ("name.count() + 1", {"System.Integer"}, False),
        ("birthDate + 1 year", {"System.Date"}, False),
        ("name.given | birthDate", {"string", "date"}, True),
        ("name.select(given.first() & family)", {"System.String"}, True),
        ("contained", None, True),
        ("iif(active, name, telecom)", {"HumanName", "ContactPoint"}, True),
        ("{}", set(), False),
        ("extension('x').value is Quantity", {"System.Boolean"}, False),
    ],
)
def test_what_an_expression_gives(expression: str, types: set[str] | None, many: bool) -> None:
    found = check(expression, "Patient")
    assert found.types == types
    assert found.many is many


@pytest.mark.parametrize(
    ("expression", "words", "column"),
    [
        ("name.given1", "HumanName has no element 'given1'", 6),
        ("Encounter.name", "begins at Patient, not at Encounter", 1),
        ("deceasedBoolean", "write deceased", 1),
        ("name.where(use1 = 'x')", "no element 'use1'", 12),
        ("(deceased as dateTime).unit", "no element 'unit'", 24),
        ("name.startsWith('x')", r"startsWith\(\) takes a String, not HumanName", 6),
        ("name.given.allTrue()", "takes a Boolean", 12),
        ("children().skip(1)", "needs an order", 12),
        ("children()[0]", "needs an order", 11),
        ("descendants().first()", "needs an order", 15),
        ("birthDate + 7", r"'\+' is not defined for date and System.Integer", 11),
        ("birthDate < 'x'", "'<' is not defined", 11),
        ("-active", "have a sign", 1),
        ("iif('x', 1, 2)", "takes a Boolean, not System.String", 1),
        ("iif(1 | 2, 1, 2)", "takes a Boolean", 1),
        ("1.name", "no element", 3),
        ("name as Nothing", "no type 'Nothing'", 6),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(
    expression: str, words: str, column: int
) -> None:
    with pytest.raises(FhirPathTypeError, match=words) as refused:
        check(expression, "Patient")
    assert (refused.value.line, refused.value.column) == (1, column)


def test_syntax_and_functions_are_checked_too() -> None:
    with pytest.raises(FhirPathSyntaxError):
        check("name.", "Patient")
    with pytest.raises(FhirPathSyntaxError, match="no function"):
        check("name.nothing()", "Patient")
    with pytest.raises(FhirPathTypeError, match="no type 'Unheard'"):
        check("name", "Unheard")


def test_places_within_a_type() -> None:
    assert check("telecom.value", "Patient.contact").types == {"string"}
    assert check("item.linkId", "Questionnaire.item").types == {"string"}
    assert check("start <= end", "Period").types == {"System.Boolean"}
    assert check("$this.length()", "string").types == {"System.Integer"}


def test_a_search_parameter_has_branches_for_its_other_types() -> None:
    expression = "Patient.name | Practitioner.name"
    with pytest.raises(FhirPathTypeError):
        check(expression, "Patient")
    assert check(expression, "Patient", bases=["Practitioner"]).types == {"HumanName"}


def test_the_search_parameters_of_the_standard_make_sense() -> None:
    definitions = packaged()
    for type_ in definitions.resource_types:
        for parameter in definitions.search_parameters(type_).values():
            if parameter.expression:
                check(parameter.expression, type_, bases=definitions.resource_types)


def test_the_invariants_of_the_standard_make_sense() -> None:
    definitions = packaged()
    faulty = set()
    for name in definitions.types:
        structure = definitions.structure(name)
        if structure is None or structure.kind == "logical":
            continue
        parents = {path.rpartition(".")[0] for path in structure.elements}
        for element in structure.elements.values():
            within = element.path in parents or not element.types
            type_ = element.path if within else element.types[0].code
            for constraint in element.constraints:
                if not constraint.expression or type_ == "Resource":
                    continue
                try:
                    check(constraint.expression, element.content_reference or type_)
                except FhirPathError:
                    faulty.add(constraint.key)
    assert faulty == FAULTY
