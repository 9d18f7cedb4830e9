"""Which scopes a user is offered, and which are granted.

Granted is what was asked AND ticked AND within what the client may ever have AND within what the
user's roles may ever do. The meet of two scopes is a scope again (or nothing), so that nothing is
granted that one of the four does not cover.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fhirserver.access.scope import (
    ANY,
    LETTERS,
    NamedScope,
    ResourceScope,
    Scope,
    narrows,
    resource_scopes,
)


def meet(one: ResourceScope, other: ResourceScope) -> ResourceScope | None:
    """What both allow; None where that is nothing."""
    if one.level != other.level:
        return None
    if ANY in (one.type, other.type):
        type = other.type if one.type == ANY else one.type
    elif one.type == other.type:
        type = one.type
    else:
        return None
    letters = "".join(mark for mark in LETTERS if mark in one.letters and mark in other.letters)
    if not letters:
        return None
    constraints = tuple(sorted({*one.constraints, *other.constraints}))
    met = ResourceScope(one.level, type, letters, constraints)
    return replace(met, spelled=one.spelled) if met == one else met


def within_ceiling(scopes: Iterable[Scope], ceiling: Iterable[Scope]) -> tuple[Scope, ...]:
    """The scopes as far as the ceiling covers them. Scopes without resources stay if they are
    in it."""
    limits = tuple(ceiling)
    named = {scope for scope in limits if isinstance(scope, NamedScope)}
    found: list[Scope] = []
    for scope in scopes:
        if isinstance(scope, NamedScope):
            found += [scope] if scope in named else []
        else:
            found += [met for limit in resource_scopes(limits) if (met := meet(scope, limit))]
    return tuple(dict.fromkeys(without_redundant(found)))


def within_role(
    scopes: Iterable[Scope], ceiling: Iterable[ResourceScope] | None
) -> tuple[Scope, ...]:
    """The scopes as far as the user's roles go; None: they have no limit of their own.

    A role says what types may be used how, whoever's record it is, so that its level does not
    matter here.
    """
    if ceiling is None:
        return tuple(scopes)
    limits = tuple(ceiling)
    found: list[Scope] = []
    for scope in scopes:
        if isinstance(scope, NamedScope):
            found.append(scope)
            continue
        for limit in limits:
            met = meet(scope, replace(limit, level=scope.level))
            found += [met] if met else []
    return tuple(dict.fromkeys(without_redundant(found)))


def without_redundant(scopes: Iterable[Scope]) -> list[Scope]:
    """The scopes without those that another of them covers."""
    all = list(dict.fromkeys(scopes))
    return [
        scope
        for place, scope in enumerate(all)
        if not any(
            narrows(scope, other) and (not narrows(other, scope) or before < place)
            for before, other in enumerate(all)
            if before != place
        )
    ]
