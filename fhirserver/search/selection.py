"""What elements the expression of a search parameter selects, told from the definitions alone.

https://hl7.org/fhir/R4/searchparameter.html#SearchParameter.expression. The query side has no
resource at hand, but must know whether a token parameter looks at codes (whose system is
implicit), at contact points or at identifiers, and which types a reference may point to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TypeAlias

from fhirserver.definitions.element import Binding
from fhirserver.definitions.packaged import packaged
from fhirserver.definitions.registry import Definitions
from fhirserver.fhirpath.parser import parse
from fhirserver.fhirpath.syntax import (
    Binary,
    Call,
    Expr,
    External,
    Indexer,
    Literal,
    Member,
    TypeOperation,
    Union,
)


@dataclass(frozen=True, slots=True)
class Selected:
    """An element that may be selected: its FHIR type, and where its children are defined.

    `binding` is that of a coded element. `only`, where not None, is the one type of resource
    that a reference is taken for (`where(resolve() is Patient)`).
    """

    type: str
    path: str
    binding: Binding | None = None
    only: str | None = None


Selection: TypeAlias = tuple[Selected, ...]

_PART_OF_SOURCE = frozenset({"first", "last", "tail", "skip", "take", "single", "distinct"})
"""Functions that give some items of what they are called on."""

_MISSPELLED = {"as(DateTime)": "as(dateTime)"}
"""What R4's expressions mean by what they say."""


@lru_cache(maxsize=4096)
def parsed(expression: str) -> Expr:
    """The parts of a search parameter's expression, with usual slips put right."""
    for slip, meant in _MISSPELLED.items():
        expression = expression.replace(slip, meant)
    return _chosen(parse(expression))


def _chosen(part: Expr) -> Expr:
    """The same with `value.ofType(dateTime)` for an extension's `valueDateTime`.

    So implementation guides write it. Elsewhere it may be a name: `Device.property.valueCode`.
    """
    match part:
        case Member(source, name, at) if source is not None:
            type_ = _values().get(name) if _is_extension(source) else None
            if type_ is None:
                return Member(_chosen(source), name, at)
            return Call(Member(_chosen(source), "value", at), "ofType", (Member(None, type_),), at)
        case Call(source, name, arguments, at) if source is not None:
            return Call(_chosen(source), name, tuple(map(_chosen, arguments)), at)
        case TypeOperation(operator, operand, type_, at):
            return TypeOperation(operator, _chosen(operand), type_, at)
        case Indexer(source, index, at):
            return Indexer(_chosen(source), index, at)
        case Binary(operator, left, right, at):
            return Binary(operator, _chosen(left), _chosen(right), at)
        case Union(operands, at):
            return Union(tuple(map(_chosen, operands)), at)
        case _:
            return part


def _is_extension(part: Expr) -> bool:
    match part:
        case Member(_, "extension" | "modifierExtension") | Call(_, "extension"):
            return True
        case Indexer(source):
            return _is_extension(source)
        case Call(source, name) if source is not None:
            return (name == "where" or name in _PART_OF_SOURCE) and _is_extension(source)
        case _:
            return False


@cache
def _values() -> dict[str, str]:
    """The JSON properties of an extension's value, with their types."""
    return {
        name: child.type
        for name, child in packaged().children("Extension").items()
        if name != child.element.name
    }


def selection(definitions: Definitions, type: str, expression: str, path: str = "") -> Selection:
    """What `expression` selects in a resource of `type`, or in its element at `path`."""
    return _Walk(definitions, type, Selected(type, path or type)).select(parsed(expression))


def branches(definitions: Definitions, type: str, expression: Expr) -> tuple[Expr, ...]:
    """The operands of a union that begin with `type` or what it specialises.

    R4 states one expression for a parameter of several types: `Patient.name | Person.name`.
    """
    operands = expression.operands if isinstance(expression, Union) else (expression,)
    own = definitions.bases(type)
    return tuple(operand for operand in operands if (name := root(operand)) is None or name in own)


def root(expression: Expr) -> str | None:
    """The type that an expression begins with: `Patient` of `Patient.name.where(...)`."""
    match expression:
        case Member(None, name):
            return name if name[:1].isupper() else None
        case Member(source) | Call(source) | Indexer(source) if source is not None:
            return root(source)
        case TypeOperation(_, operand):
            return root(operand)
        case Binary(_, left):
            return root(left)
        case _:
            return None


class _Walk:
    def __init__(self, definitions: Definitions, type: str, start: Selected) -> None:
        self._definitions = definitions
        self._type = type
        self._start = start

    def select(self, part: Expr) -> Selection:
        match part:
            case Union(operands):
                return tuple(dict.fromkeys(item for one in operands for item in self.select(one)))
            case Member(None, name):
                return self._first(name)
            case Member(source, name):
                assert source is not None
                return self._children(self.select(source), name)
            case TypeOperation("as", operand, to):
                return self._of_type(self.select(operand), to.name)
            case Indexer(source):
                return self.select(source)
            case External("resource"):
                return (Selected(self._type, self._type),)
            case Call():
                return self._call(part)
            case Binary() | TypeOperation() | Literal():
                return (Selected("boolean", "boolean"),)
            case _:
                return ()

    def _first(self, name: str) -> Selection:
        if name[:1].isupper():
            return (self._start,) if name in self._definitions.bases(self._start.type) else ()
        return self._children((self._start,), name)

    def _children(self, of: Iterable[Selected], name: str) -> Selection:
        return tuple(
            Selected(child.type, child.path, child.element.binding)
            for item in of
            for child in self._definitions.children(item.path).values()
            if child.element.name == name
        )

    def _call(self, call: Call) -> Selection:
        source = self.select(call.source) if call.source else (self._start,)
        match call.name, call.arguments:
            case "where", (TypeOperation("is", Call(None, "resolve"), type_),):
                return tuple(replace(item, only=type_.name) for item in source)
            case "where", _:
                return source
            case "as" | "ofType", (Member(_, name),):
                return self._of_type(source, name)
            case name, _ if name in _PART_OF_SOURCE:
                return source
            case "extension", _:
                return (Selected("Extension", "Extension"),)
            case _:
                return (Selected("boolean", "boolean"),)

    def _of_type(self, items: Iterable[Selected], name: str) -> Selection:
        return tuple(item for item in items if self._is_of(item.type, name))

    def _is_of(self, type: str, name: str) -> bool:
        """As `as` and `ofType` tell: a primitive must be of the very type."""
        header = self._definitions.types.get(type)
        if header is not None and header.kind == "primitive-type":
            return type == name
        return self._definitions.is_subtype(type, name)
