"""Resources that hold what the expression of a search parameter selects."""

from __future__ import annotations

from collections.abc import Iterator

from fhirserver.definitions.element import Child
from fhirserver.definitions.registry import Definitions
from fhirserver.fhirpath.paths import (
    ExtensionOf,
    Names,
    OfType,
    Step,
    WhereRefers,
    WhereText,
    steps,
)
from fhirserver.fhirpath.syntax import Expr
from fhirserver.model.json import Json, Resource

_CODING = {"system": "http://a", "code": "a", "display": "A thing"}
_QUANTITY = {"value": 5, "system": "http://unitsofmeasure.org", "code": "mg", "unit": "mg"}
SAMPLES: dict[str, Json] = {
    "Address": {"city": "Springfield"},
    "Age": _QUANTITY,
    "CodeableConcept": {"coding": [_CODING], "text": "Thing"},
    "Coding": _CODING,
    "ContactPoint": {"system": "phone", "value": "555-1"},
    "Duration": _QUANTITY,
    "HumanName": {"family": "Chalmers"},
    "Identifier": {"system": "http://a", "value": "1", "type": {"coding": [_CODING]}},
    "Money": {"value": 5, "currency": "EUR"},
    "Period": {"start": "2020", "end": "2021"},
    "Quantity": _QUANTITY,
    "Range": {"low": _QUANTITY, "high": _QUANTITY},
    "Reference": {"reference": "Patient/a", "display": "Someone"},
    "SampledData": {"origin": _QUANTITY, "period": 1, "dimensions": 1, "data": "1 2"},
    "Timing": {"event": ["2020"]},
    "boolean": True,
    "canonical": "http://a/b",
    "code": "a",
    "date": "2020-01-01",
    "dateTime": "2020-01-01",
    "decimal": 1,
    "id": "a",
    "instant": "2020-01-01T00:00:00Z",
    "integer": 1,
    "markdown": "text",
    "string": "text",
    "uri": "http://a/b",
    "url": "http://a/b",
}
"""A value of each type that search parameters select."""


def holding(definitions: Definitions, type: str, branch: Expr) -> Iterator[tuple[str, Resource]]:
    """Resources of a type that each hold one element that a plain path selects, with its type.

    Nothing for an expression that is no plain path.
    """
    start, path = steps(branch, lenient=True)
    if start is None:
        first = path[0]
        begins = isinstance(first, Names) and first.name in definitions.bases(type)
        for selected, content in _content(definitions, type, type, path[begins:]):
            yield selected, {"resourceType": type} | content


def _content(
    definitions: Definitions, type: str, path: str, rest: tuple[Step, ...]
) -> Iterator[tuple[str, Json]]:
    """JSON of an element of `type`, defined at `path`, on which the rest of the way exists."""
    match rest:
        case ():
            if type in SAMPLES:
                yield type, SAMPLES[type]
        case (Names(name), *more):
            yield from _members(definitions, path, name, tuple(more))
        case (OfType(), *more):
            yield from _content(definitions, type, path, tuple(more))
        case (WhereText(name, text), *more):
            for selected, value in _content(definitions, type, path, tuple(more)):
                yield selected, value | {name: text}
        case (WhereRefers(target), *more):
            for selected, _ in _content(definitions, type, path, tuple(more)):
                yield selected, {"reference": f"{target.name}/a"}
        case (ExtensionOf(url), *_):
            yield "Extension", {"extension": [{"url": url} | _VALUE_OF_ANY_KIND]}


def _members(
    definitions: Definitions, path: str, name: str, more: tuple[Step, ...]
) -> Iterator[tuple[str, Json]]:
    for property_, child in definitions.children(path).items():
        if child.element.name == name and _fits(definitions, child, more):
            for selected, value in _content(definitions, child.type, child.path, more):
                yield selected, {property_: value if child.element.max == 1 else [value]}


def _fits(definitions: Definitions, child: Child, more: tuple[Step, ...]) -> bool:
    if not more or not isinstance(more[0], OfType):
        return True
    wanted = more[0].type.name
    if definitions.types[child.type].kind == "primitive-type":
        return child.type == wanted
    return definitions.is_subtype(child.type, wanted)


_VALUE_OF_ANY_KIND: Resource = {"valueString": "text"}
