"""Composite parameters: several values that one element has together.

https://hl7.org/fhir/R4/search.html#composite. Tuples whose quantities have units of UCUM also
stand, with these in base units, under the name `code:canonical`. A search looks there when it
gives such a unit for each quantity of the tuple.
"""

from __future__ import annotations

from fhirserver.errors import Invalid
from fhirserver.search.escape import split
from fhirserver.search.expression import (
    CompositeIs,
    DateIs,
    Expression,
    Kind,
    Leaf,
    NumberIs,
    Or,
    QuantityIs,
    ReferenceIs,
    StringIs,
    TokenIs,
    UriIs,
)
from fhirserver.search.parameter import Knowledge, Parameter, ParameterType, Values
from fhirserver.search.params.date import DATE
from fhirserver.search.params.number import NUMBER
from fhirserver.search.params.quantity import QUANTITY, canonical_quantity
from fhirserver.search.params.reference import REFERENCE
from fhirserver.search.params.string import STRING
from fhirserver.search.params.token import TOKEN
from fhirserver.search.params.uri import URI

MAX_TUPLES = 200
"""How many tuples one element may give; the rest of a larger product is left out."""

PARTS: dict[Kind, ParameterType] = {
    "token": TOKEN,
    "string": STRING,
    "date": DATE,
    "number": NUMBER,
    "quantity": QUANTITY,
    "reference": REFERENCE,
    "uri": URI,
}
"""The types that a component may have."""


def _is(parameter: Parameter, _: str, values: Values, knowledge: Knowledge) -> Expression:
    found = tuple(_tuple(parameter, value, knowledge) for value in values)
    return found[0] if len(found) == 1 else Or(found)


def _tuple(parameter: Parameter, text: str, knowledge: Knowledge) -> Expression:
    parts = split(text, "$")
    if len(parts) != len(parameter.components) or not all(parts):
        form = "$".join(item.definition.code for item in parameter.components)
        raise Invalid(f"'{text}' does not fit {parameter.code}: write {form}.")
    asked = [*zip(parameter.components, parts, strict=True)]
    plain = tuple(_part(component, part, knowledge) for component, part in asked)
    in_base_units = tuple(
        canonical_quantity(component, part) if component.kind == "quantity" else leaf
        for (component, part), leaf in zip(asked, plain, strict=True)
    )
    if in_base_units == plain or None in in_base_units:
        return CompositeIs(parameter.code, plain)
    return CompositeIs(f"{parameter.code}:canonical", tuple(filter(None, in_base_units)))


def _part(component: Parameter, text: str, knowledge: Knowledge) -> Leaf:
    found = PARTS[component.kind].modifiers[""](component, "", (text,), knowledge)
    assert isinstance(
        found, TokenIs | StringIs | DateIs | NumberIs | QuantityIs | ReferenceIs | UriIs
    )
    return found


COMPOSITE = ParameterType(convert={}, modifiers={"": _is})
