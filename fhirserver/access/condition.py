"""Expressions that a restriction is made of: conditions on one resource, put together.

A restriction looks at one resource only, so that a version out of the past and what is about to
be written are judged as a search judges what is stored. A condition with a hop is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from fhirserver.access.policy import Record
from fhirserver.definitions.registry import Definitions
from fhirserver.errors import FhirError
from fhirserver.search.compile import compile_criteria
from fhirserver.search.expression import (
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    Expression,
    Has,
    IdIs,
    Not,
    Or,
    ReferenceIs,
    Target,
)
from fhirserver.search.many import Many

PATIENT: Final = "Patient"


BY_CONTEXT: Final = Chain("securityContext", (), EVERYTHING)
"""Stands for: a Binary whose securityContext names a resource that is seen. Which ones these are
is told by the restriction; nothing but `settled` looks at it."""


def settled(expression: Expression, *, by_context: bool) -> Expression:
    """The expression with `BY_CONTEXT` decided."""
    match expression:
        case And(parts):
            return all_of(settled(part, by_context=by_context) for part in parts)
        case Or(parts):
            return any_of(settled(part, by_context=by_context) for part in parts)
        case Not(part):
            return none_of(settled(part, by_context=by_context))
        case _ if expression == BY_CONTEXT:
            return EVERYTHING if by_context else NOTHING
        case _:
            return expression


def all_of(parts: Iterable[Expression]) -> Expression:
    """Their conjunction, without what says nothing."""
    some = tuple(dict.fromkeys(part for part in parts if part != EVERYTHING))
    if NOTHING in some:
        return NOTHING
    return some[0] if len(some) == 1 else And(some)


def any_of(parts: Iterable[Expression]) -> Expression:
    """Their disjunction, without what never holds."""
    some = tuple(dict.fromkeys(part for part in parts if part != NOTHING))
    if EVERYTHING in some:
        return EVERYTHING
    return some[0] if len(some) == 1 else Or(some)


def none_of(part: Expression) -> Expression:
    """Its negation."""
    if part == EVERYTHING:
        return NOTHING
    return EVERYTHING if part == NOTHING else Not(part)


@lru_cache(maxsize=4096)
def stated(definitions: Definitions, type: str, name: str, value: str) -> Expression:
    """What a search parameter with a value means; nothing where it cannot be asked of the type."""
    try:
        found = compile_criteria(definitions, type, ((name, value),), now=0)
    except FhirError:
        return NOTHING
    return NOTHING if hops(found) else found


def hops(expression: Expression) -> bool:
    """Whether it looks beyond one resource."""
    match expression:
        case And(parts) | Or(parts):
            return any(map(hops, parts))
        case Not(part):
            return hops(part)
        case _:
            return isinstance(expression, Chain | Has)


def record_params(definitions: Definitions, record: Record, type: str) -> tuple[str, ...]:
    """The reference parameters by which a resource of that type is of a patient's record."""
    if type in record.by:
        return (record.by[type],)
    compartment = definitions.compartment(PATIENT)
    if type == PATIENT or compartment is None:
        return ()  # Patient.link is not followed
    return compartment.members.get(type, ())


def _targets(patients: Sequence[str]) -> tuple[Target, ...]:
    if isinstance(patients, Many):
        return _many_targets(patients)
    return tuple(Target(PATIENT, id) for id in patients)


@lru_cache(maxsize=256)
def _many_targets(patients: Many[str]) -> Many[Target]:
    """The same for all types, and derived as the patients are."""
    if patients.base is not None:
        besides = [Target(PATIENT, id) for id in patients.besides]
        return _many_targets(patients.base).without(besides)
    return Many(Target(PATIENT, id) for id in patients)


def about(
    definitions: Definitions, record: Record, patients: Sequence[str], type: str
) -> Expression:
    """What resources of that type are of the patients' compartments."""
    if not patients:
        return NOTHING
    if type == PATIENT:
        return IdIs(patients if isinstance(patients, Many) else tuple(patients))
    targets = _targets(patients)
    params = record_params(definitions, record, type)
    return any_of(ReferenceIs(param, targets) for param in params)


def in_record(
    definitions: Definitions, record: Record, patients: Sequence[str], type: str
) -> Expression:
    """What is shown of that type to who sees the records of these patients, and no others."""
    if type in record.never:
        return NOTHING
    return EVERYTHING if type in record.open else about(definitions, record, patients, type)
