"""Which scopes a user is offered, and which are granted.

Granted is what was asked AND ticked AND within what the client may ever have AND within what the
user's roles may ever do. The meet of two scopes is a scope again (or nothing), so that nothing is
granted that one of the four does not cover.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from fhirserver.access.policy import RolePolicy
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
    letters = _sorted(mark for mark in one.letters if mark in other.letters)
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


def within_role(scopes: Iterable[Scope], ceiling: Iterable[ResourceScope]) -> tuple[Scope, ...]:
    """The scopes as far as the user's roles go (see `ceiling_of`).

    A role says what types may be used how, whoever's record it is, so that its level does not
    matter here. A scope for every type stays one, with the letters that the roles have for any:
    it means all that the user may see, now and later, and the policies are applied to each use.
    """
    limits = tuple(ceiling)
    any_type = _sorted(mark for limit in limits for mark in limit.letters)
    found: list[Scope] = []
    for scope in scopes:
        if isinstance(scope, NamedScope):
            found.append(scope)
            continue
        if scope.type == ANY:
            every = [ResourceScope(scope.level, ANY, any_type)] if any_type else []
        else:
            every = [replace(limit, level=scope.level) for limit in limits]
        found += [met for limit in every if (met := meet(scope, limit))]
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


def ceiling_of(policies: Iterable[RolePolicy]) -> tuple[ResourceScope, ...]:
    """What roles may do at the most, by type, whoever's record it is."""
    letters: dict[str, set[str]] = {}
    for policy in policies:
        for rule in policy.rules:
            for type in rule.types:
                letters.setdefault(type, set()).update(rule.letters)
    return tuple(ResourceScope("user", type, _sorted(found)) for type, found in letters.items())


def _sorted(letters: Iterable[str]) -> str:
    found = set(letters)
    return "".join(mark for mark in LETTERS if mark in found)
