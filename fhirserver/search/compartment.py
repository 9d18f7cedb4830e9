"""Compartments: what belongs to one patient, encounter, practitioner, device or person.

https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from fhirserver.definitions.registry import Definitions
from fhirserver.errors import NotFound
from fhirserver.search.expression import (
    NOTHING,
    And,
    Expression,
    IdIs,
    Or,
    ReferenceIs,
    Target,
    TypeIs,
)
from fhirserver.search.refusal import choice

_ITSELF = "{def}"
"""What R4 writes for the resource of the compartment, which always belongs."""


def compartment_types(definitions: Definitions, code: str) -> tuple[str, ...]:
    """The types that may belong to a compartment, its own included.

    Raises `NotFound` for a code that names no compartment.
    """
    found = definitions.compartment(code)
    if found is None:
        raise NotFound(f"There is no compartment '{code}': use {choice(definitions.compartments)}.")
    return tuple(sorted({*found.members, code}))


def compartment_expression(definitions: Definitions, code: str, id: str, type: str) -> Expression:
    """What resources of `type` belong to the compartment of `code`/`id`; may be nothing."""
    found = definitions.compartment(code)
    params = found.members.get(type, ()) if found else ()
    parts: list[Expression] = [
        ReferenceIs(param, (Target(code, id),)) for param in params if param != _ITSELF
    ]
    if found and type == code:
        parts.append(IdIs((id,)))
    if not parts:
        return NOTHING
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


def compartment_of_types(
    definitions: Definitions, code: str, id: str, types: tuple[str, ...]
) -> Expression:
    """What resources of any of `types` belong to the compartment of `code`/`id`."""
    if len(types) == 1:
        return compartment_expression(definitions, code, id, types[0])
    by_meaning: dict[Expression, list[str]] = {}
    for type_ in types:
        meaning = compartment_expression(definitions, code, id, type_)
        if meaning != NOTHING:
            by_meaning.setdefault(meaning, []).append(type_)
    return Or(tuple(And((TypeIs(tuple(some)), part)) for part, some in by_meaning.items()))
