"""Environment variables.

https://hl7.org/fhirpath/N1/#environment-variables and
https://hl7.org/fhir/R4/fhirpath.html#variables
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fhirserver.fhirpath.context import Frame
from fhirserver.fhirpath.errors import FhirPathExecutionError
from fhirserver.fhirpath.node import Collection

CONSTANTS: Final[Mapping[str, str]] = {
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
    "ucum": "http://unitsofmeasure.org",
}
_PREFIXES: Final[Mapping[str, str]] = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}
_RUN: Final = frozenset({"context", "resource", "rootResource"})


def constant(name: str) -> str | None:
    """The value of a variable that is the same everywhere."""
    for prefix, url in _PREFIXES.items():
        if name.startswith(prefix):
            return url + name.removeprefix(prefix)
    return CONSTANTS.get(name)


def external(frame: Frame, name: str) -> Collection:
    """The value of `%name`: defined in the expression, given by the caller, or FHIR's."""
    for variables in (frame.variables, frame.run.variables):
        if variables is not None and name in variables:
            return variables[name]
    match name:
        case "context":
            return [frame.run.context]
        case "resource":
            return [frame.run.resource]
        case "rootResource":
            return [frame.run.root]
        case _:
            found = constant(name)
    if found is None:
        raise FhirPathExecutionError(f"There is no variable %{name}.")
    return [found]


def define(frame: Frame, name: str, items: Collection) -> None:
    """Makes `%name` known to what comes next; a name may be given once."""
    taken = name in _RUN or constant(name) is not None
    for variables in (frame.variables, frame.run.variables):
        taken = taken or (variables is not None and name in variables)
    if taken:
        raise FhirPathExecutionError(f"%{name} is defined already: choose another name.")
    frame.variables = {**(frame.variables or {}), name: items}
