"""The parameters of an operation, read and checked by its OperationDefinition.

https://hl7.org/fhir/R4/operations.html#request. They come as a query, as Parameters, or, where
there is one parameter that is a resource, as that resource alone with a query beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from fhirserver.definitions.operation import Parameter
from fhirserver.errors import Fault, Invalid
from fhirserver.interactions.context import Context
from fhirserver.interactions.parameters import OF_THE_EDGE
from fhirserver.interactions.request import Pairs, Request
from fhirserver.model.json import Json, Resource
from fhirserver.validation import validate

_PARAMETERS = "Parameters"
_STAND_IN = {"name": "resource", "valueBoolean": True}  # resources are not checked here
_WHOLE = re.compile(r"-?\d{1,18}", re.ASCII)
_DECIMAL = re.compile(r"-?\d{1,18}(\.\d{1,18})?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Arguments:
    """Values by the name of their parameter; `search` are pairs for operations that search."""

    values: Mapping[str, tuple[Json, ...]]
    search: Pairs = ()

    def one(self, name: str) -> Json:
        """The value of a parameter that is given once at the most; None where it is not."""
        found = self.values.get(name)
        return found[0] if found else None

    def all(self, name: str) -> tuple[Json, ...]:
        """All values of a parameter."""
        return self.values.get(name, ())

    def pairs(self) -> Pairs:
        """The primitive values as the query that says the same."""
        return tuple(
            (name, _BOOLEAN_TEXT.get(value, str(value)) if isinstance(value, bool) else str(value))
            for name, values in self.values.items()
            for value in values
        )


_BOOLEAN_TEXT: Final = {True: "true", False: "false"}


def arguments(
    context: Context,
    request: Request,
    url: str,
    *,
    searches: bool = False,
    more: Mapping[str, str] | None = None,
    repeated: Mapping[str, str] | None = None,
) -> Arguments:
    """The arguments of a call of the operation of that URL.

    `searches`: what is no parameter of the operation is one of a search. `more` are parameters
    beside those of the definition, with their types, `repeated` such as may be given several
    times. Raises `Invalid` for a parameter that is
    unknown (with strict handling), malformed, missing or repeated.
    """
    definition = context.definitions.operation(url)
    if definition is None:
        raise Fault("An operation is served whose definition is not there.")
    known = {item.name: item for item in definition.parameters if item.use == "in"}
    for name, type in (more or {}).items():
        known[name] = Parameter(name, "in", 0, 1, type)
    for name, type in (repeated or {}).items():
        known[name] = Parameter(name, "in", 0, None, type)
    reading = _Reading(context, request, definition.code, known, searches)
    return reading.arguments()


class _Reading:
    def __init__(
        self,
        context: Context,
        request: Request,
        code: str,
        known: Mapping[str, Parameter],
        searches: bool,
    ) -> None:
        self._context = context
        self._request = request
        self._code = code
        self._known = known
        self._searches = searches
        self._pairs: list[tuple[str, str]] = []

    def arguments(self) -> Arguments:
        elements = [*self._of_query(), *self._of_body()]
        self._check(elements)
        values: dict[str, list[Json]] = {}
        for element in elements:
            name = element["name"]
            parameter = self._known.get(name)
            if parameter is not None:
                values.setdefault(name, []).append(self._value(parameter, element))
            elif self._searches:
                self._pairs.append((name, self._text(name, element)))
            elif self._request.handling != "lenient":
                raise self._unknown(name)
        for name, parameter in self._known.items():
            self._count(parameter, len(values.get(name, ())))
        found = {name: tuple(items) for name, items in values.items()}
        return Arguments(found, tuple(self._pairs))

    def _of_query(self) -> Iterator[Resource]:
        for name, text in self._request.parameters:
            parameter = self._known.get(name)
            if name in OF_THE_EDGE:
                continue
            if parameter is None:
                if self._searches:
                    self._pairs.append((name, text))
                elif self._request.handling != "lenient":
                    raise self._unknown(name)
            elif parameter.type is None or parameter.type[:1].isupper():
                raise Invalid(f"'{name}' is a {parameter.type}: send it by POST, in Parameters.")
            else:
                read = _FROM_TEXT.get(parameter.type, _as_it_is)
                yield {"name": name, _property(parameter.type): read(text)}

    def _of_body(self) -> list[Json]:
        sent = self._request.resource
        if sent is None:
            return []
        if not isinstance(sent, dict):
            raise Invalid(f"${self._code} takes a Parameters resource.")
        if sent.get("resourceType") == _PARAMETERS:
            elements = sent.get("parameter", [])
            if not isinstance(elements, list):
                raise Invalid("Parameters.parameter is a list.", expression="Parameters.parameter")
            return elements
        for parameter in self._known.values():
            if self._is_resource(parameter):
                return [{"name": parameter.name, "resource": sent}]
        raise Invalid(f"${self._code} takes a Parameters resource.", expression="resourceType")

    def _is_resource(self, parameter: Parameter) -> bool:
        types = self._context.definitions.resource_types
        return parameter.type == "Resource" or parameter.type in types

    def _check(self, elements: list[Json]) -> None:
        """Raises `Invalid` for parameters that are malformed in themselves."""
        if not elements:
            return
        shown = [
            _STAND_IN if isinstance(item, dict) and "resource" in item and "name" in item else item
            for item in elements
        ]
        sent = {"resourceType": _PARAMETERS, "parameter": shown}
        issues = validate(sent, definitions=self._context.definitions)
        if any(issue.is_error for issue in issues):
            raise Invalid("The parameters are malformed.", issues=issues)

    def _value(self, parameter: Parameter, element: Resource) -> Json:
        name = "resource" if self._is_resource(parameter) else _property(parameter.type or "")
        if name not in element and parameter.type in _ALIKE:
            name = next((_property(type) for type in _ALIKE if _property(type) in element), name)
        if name not in element:
            if parameter.parts and "part" in element:
                return element["part"]
            raise Invalid(
                f"'{parameter.name}' of ${self._code} is a {parameter.type}: send it as {name}.",
                expression=f"Parameters.parameter.where(name='{parameter.name}')",
            )
        value = element[name]
        if name == "resource" and not isinstance(value, dict):
            raise Invalid(f"'{parameter.name}' of ${self._code} is a resource.")
        return value

    def _text(self, name: str, element: Resource) -> str:
        values = [value for key, value in element.items() if key.startswith("value")]
        if len(values) != 1 or not isinstance(values[0], str | int | Decimal):
            raise Invalid(f"'{name}' is a parameter of search: send it as valueString.")
        (value,) = values
        return _BOOLEAN_TEXT[value] if isinstance(value, bool) else str(value)

    def _count(self, parameter: Parameter, number: int) -> None:
        if number < parameter.min:
            raise Invalid(f"${self._code} needs the parameter '{parameter.name}'.")
        if parameter.max is not None and number > parameter.max:
            raise Invalid(f"Give '{parameter.name}' {_TIMES.get(parameter.max, 'less often')}.")

    def _unknown(self, name: str) -> Invalid:
        has = ", ".join(sorted(self._known)) or "none"
        return Invalid(f"${self._code} has no parameter '{name[:64]}' (only {has}). Leave it out.")


_ALIKE: Final = ("uri", "url", "canonical", "code", "string")
"""Types whose values are alike: a parameter of one is also taken as another."""

_TIMES: Final = {0: "not at all", 1: "once"}


def _property(type: str) -> str:
    return f"value{type[:1].upper()}{type[1:]}"


def _as_it_is(text: str) -> Json:
    return text


def _whole(text: str) -> Json:
    return int(text) if _WHOLE.fullmatch(text) else text


def _decimal(text: str) -> Json:
    return Decimal(text) if _DECIMAL.fullmatch(text) else text


def _boolean(text: str) -> Json:
    return _BOOLEANS.get(text, text)


_FROM_TEXT: Final[Mapping[str, Callable[[str], Json]]] = {
    "boolean": _boolean,
    "integer": _whole,
    "positiveInt": _whole,
    "unsignedInt": _whole,
    "decimal": _decimal,
}
"""How the text of a query becomes a JSON value; what does not fit is left for the check."""
