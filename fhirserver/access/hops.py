"""Queries as a restriction lets them be asked: every hop sees what the caller sees.

What the answer means is what it would be if nothing else were in the store, also below a `Not`.
Which types may be asked is decided from the grant alone, before data.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from fhirserver.access.condition import all_of, any_of, none_of
from fhirserver.access.restriction import Restriction
from fhirserver.errors import Forbidden
from fhirserver.search.contained import CONTAINER, MARK, is_contained
from fhirserver.search.expression import (
    EVERYTHING,
    NOTHING,
    And,
    Chain,
    Expression,
    Has,
    Not,
    Or,
    Query,
    TypeIs,
)

_LETTER = "s"


class Hops:
    """Rewrites what is asked of a store by one restriction."""

    def __init__(self, restriction: Restriction) -> None:
        self._restriction = restriction
        self._types = tuple(sorted(restriction.definitions.resource_types))
        self._is_open: bool | None = None
        self._containers: Expression | None = None

    @property
    def is_open(self) -> bool:
        """Whether everything of every type may be searched."""
        if self._is_open is None:
            of = self._restriction.of
            self._is_open = all(of(type, _LETTER) == EVERYTHING for type in self._types)
        return self._is_open

    def query(self, query: Query) -> Query:
        """The query on what may be seen. Raises `Forbidden` for types of which nothing may be."""
        if self.is_open:
            return query
        types, where = self.asked(query.types, query.where)
        if (types, where) == (query.types, query.where):
            return query
        # A rough number may be that of the whole store.
        return replace(query, types=types, where=where, estimate=False)

    def asked(self, types: Sequence[str], where: Expression) -> tuple[tuple[str, ...], Expression]:
        """The types that may be searched, of those or of all, and the condition on them."""
        if self.is_open:
            return tuple(types), where
        some = self._allowed(types or self._types)
        if not some:
            raise Forbidden(_DENIED)
        inner = self.where(where)
        groups = self._groups(some)
        if len(groups) == 1:
            return tuple(some), all_of((*groups, inner))
        parts = inner.parts if isinstance(inner, And) else (inner,)
        alike, apart = _parted(parts, groups)
        if not apart:
            return tuple(some), all_of((_any_of_types(groups), inner))
        # A condition for each type, as that of a compartment, is asked within the group of it:
        # the product of all groups would be too much.
        within = any_of(
            all_of((TypeIs(tuple(types)), seen, *(_of_types(part, types) for part in apart)))
            for seen, types in groups.items()
        )
        return tuple(some), all_of((within, *alike))

    def where(self, expression: Expression) -> Expression:
        """The condition with what may be seen inside each hop."""
        match expression:
            case And(parts):
                return And(tuple(map(self.where, parts)))
            case Or(parts):
                return Or(tuple(map(self.where, parts)))
            case Not(part):
                return Not(self.where(part))
            case Chain():
                return self._chain(expression)
            case Has():
                return self._has(expression)
            case _:
                return expression

    # --- hops -----------------------------------------------------------------------------

    def _chain(self, chain: Chain) -> Expression:
        inner = self.where(chain.where)
        # What is contained is a part of what refers to it, and seen with that.
        inside = tuple(type for type in chain.types if is_contained(type))
        groups: dict[Expression, list[str]] = {}
        for type in chain.types:
            if not is_contained(type):
                groups.setdefault(self._restriction.of(type, _LETTER), []).append(type)
        denied = groups.pop(NOTHING, None)
        if denied and not groups:
            raise Forbidden(_DENIED)
        parts: list[Expression] = [
            Chain(chain.param, tuple(types), _both(seen, inner)) for seen, types in groups.items()
        ]
        if inside:
            parts.append(Chain(chain.param, inside, inner))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _has(self, has: Has) -> Expression:
        inner = self.where(has.where)
        if is_contained(has.type):
            # Its container is what is asked about, or must be seen by itself.
            seen = EVERYTHING if has.param == CONTAINER else self._contained()
        else:
            seen = self._restriction.of(has.type, _LETTER)
        if seen == NOTHING:
            raise Forbidden(_DENIED)
        return Has(has.type, has.param, _both(seen, inner))

    # --- what may be seen -----------------------------------------------------------------

    def _allowed(self, types: Iterable[str]) -> list[str]:
        """Those of which anything may be seen; contained types are judged as their own types."""
        allows = self._restriction.allows
        return [type for type in types if allows(type.removeprefix(MARK), _LETTER)]

    def _groups(self, types: Iterable[str]) -> dict[Expression, list[str]]:
        """The types by what is seen of them; of contained ones, what is in a container seen."""
        groups: dict[Expression, list[str]] = {}
        for type in types:
            inside = is_contained(type)
            seen = self._contained() if inside else self._restriction.of(type, _LETTER)
            groups.setdefault(seen, []).append(type)
        return groups

    def _contained(self) -> Expression:
        """Contained resources whose container is seen."""
        if self._containers is None:
            groups: dict[Expression, list[str]] = {}
            for type in self._types:
                seen = self._restriction.of(type, _LETTER)
                if seen != NOTHING:
                    groups.setdefault(seen, []).append(type)
            self._containers = any_of(
                Chain(CONTAINER, tuple(types), seen) for seen, types in groups.items()
            )
        return self._containers


def _any_of_types(groups: Mapping[Expression, Sequence[str]]) -> Expression:
    return any_of(all_of((TypeIs(tuple(types)), seen)) for seen, types in groups.items())


def _parted(
    parts: Sequence[Expression], groups: Mapping[Expression, Sequence[str]]
) -> tuple[list[Expression], list[Expression]]:
    """The parts that mean the same for all groups of types, and the others."""
    alike: list[Expression] = []
    apart: list[Expression] = []
    for part in parts:
        same = all(_of_types(part, types) is part for types in groups.values())
        (alike if same else apart).append(part)
    return alike, apart


def _of_types(expression: Expression, types: Collection[str]) -> Expression:
    """What an expression means for resources of these types; the same one where that is it."""
    match expression:
        case TypeIs(some):
            if not any(type in some for type in types):
                return NOTHING
            return EVERYTHING if all(type in some for type in types) else expression
        case And(parts) | Or(parts):
            meant = [_of_types(part, types) for part in parts]
            if all(part is own for part, own in zip(meant, parts, strict=True)):
                return expression
            return all_of(meant) if isinstance(expression, And) else any_of(meant)
        case Not(part):
            meant_part = _of_types(part, types)
            return expression if meant_part is part else none_of(meant_part)
        case _:
            return expression


def _both(seen: Expression, inner: Expression) -> Expression:
    return inner if seen == EVERYTHING else And((seen, inner))


_DENIED = "Your access does not include to search that type."
