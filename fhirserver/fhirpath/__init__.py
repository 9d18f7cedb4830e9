"""FHIRPath: https://hl7.org/fhirpath/N1 with the functions of FHIR R4.

`evaluate` works on plain dicts and needs nothing else. Whoever evaluates often compiles:

    names = compile("Patient.name.given")
    names.evaluate(patient)     # ["Peter", "James"]
    names.select(patient)       # nodes with .value and .type, fast
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fhirserver.fhirpath.check import check
from fhirserver.fhirpath.context import Services
from fhirserver.fhirpath.errors import (
    FhirPathError,
    FhirPathExecutionError,
    FhirPathSyntaxError,
    FhirPathTypeError,
)
from fhirserver.fhirpath.expression import (
    Expression,
    compile,  # noqa: A004 - as in re
    element,
    resource_node,
)
from fhirserver.fhirpath.node import Located, Node
from fhirserver.model.json import Json

__all__ = [
    "Expression",
    "FhirPathError",
    "FhirPathExecutionError",
    "FhirPathSyntaxError",
    "FhirPathTypeError",
    "Located",
    "Node",
    "Services",
    "check",
    "compile",
    "element",
    "evaluate",
    "resource_node",
]

_CURRENT = Services(now=lambda: datetime.now(UTC))


def evaluate(
    resource: Json, expression: str, environment: dict[str, Any] | None = None
) -> list[Json]:
    """What an expression gives on a resource, as plain values.

    Elements come as they stand in the resource, dates, times and quantities as FHIR's JSON
    writes them. `environment` holds variables by name, without `%`; a `datetime` named `now`
    is the time of `now()`, `today()` and `timeOfDay()`, by default the current one.
    Raises `FhirPathError`, which is `fhirserver.errors.Invalid`.
    """
    if not environment:
        return compile(expression).evaluate(resource, None, _CURRENT)
    variables = dict(environment)
    services = _CURRENT
    given = variables.get("now")
    if isinstance(given, datetime):
        del variables["now"]
        moment = given if given.tzinfo else given.replace(tzinfo=UTC)
        services = Services(now=lambda: moment)
    return compile(expression).evaluate(resource, variables, services)
