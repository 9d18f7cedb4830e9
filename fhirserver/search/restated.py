"""SearchParameters that state one of the standard's again, as implementation guides publish them.

US Core has its own resource for `Patient?birthdate=`, with its own URL and the expression that R4
has for a Patient. The parameter of the standard answers it; a second one would only compete.
"""

from __future__ import annotations

from fhirserver.definitions.registry import Definitions
from fhirserver.definitions.search_parameter import Component, SearchParameter
from fhirserver.errors import Invalid
from fhirserver.fhirpath.syntax import Call, Expr, Member, TypeOperation
from fhirserver.search.selection import branches, parsed, root


def restated(definitions: Definitions, found: SearchParameter) -> bool:
    """Whether the standard has a parameter of the same code, type and meaning on every base."""
    try:
        return bool(found.base) and all(_is_same(definitions, found, type) for type in found.base)
    except Invalid:
        return False


def _is_same(definitions: Definitions, found: SearchParameter, type: str) -> bool:
    known = definitions.standard.search_parameters(type).get(found.code)
    if known is None or not known.expression or not found.expression:
        return False
    return (
        known.type == found.type
        and _meaning(definitions, type, known.expression)
        == _meaning(definitions, type, found.expression)
        and _components(known.components) == _components(found.components)
    )


def _meaning(definitions: Definitions, type: str, expression: str) -> frozenset[Expr]:
    """The branches of an expression on one type, spelled in one way."""
    return frozenset(_plain(part, type) for part in branches(definitions, type, parsed(expression)))


def _components(components: tuple[Component, ...]) -> list[tuple[str, Expr]]:
    return [(item.definition, _plain(parsed(item.expression), "")) for item in components]


def _plain(part: Expr, type: str) -> Expr:
    """The same path with `ofType` for `as`, beginning at `type` for what that specialises."""
    match part:
        case Member(None, name):
            return Member(None, type) if root(part) == name and type else part
        case Member(source, name) if source is not None:
            return Member(_plain(source, type), name)
        case TypeOperation("as", operand, to):
            return Call(_plain(operand, type), "ofType", (Member(None, to.name),))
        case Call(source, "as" | "ofType", arguments) if source is not None:
            return Call(_plain(source, type), "ofType", arguments)
        case Call(source, name, arguments) if source is not None:
            return Call(_plain(source, type), name, arguments)
        case _:
            return part
