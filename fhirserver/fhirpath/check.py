"""Whether an expression can make sense on a type, before there is any data.

https://hl7.org/fhirpath/N1/#type-safety-and-strict-evaluation
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final, NoReturn, assert_never

from fhirserver.fhirpath import static
from fhirserver.fhirpath.compiler import compile_part
from fhirserver.fhirpath.errors import FhirPathTypeError, position
from fhirserver.fhirpath.functions import FUNCTIONS
from fhirserver.fhirpath.functions.function import Function, Kind
from fhirserver.fhirpath.parser import parse
from fhirserver.fhirpath.paths import names_type, type_specifier
from fhirserver.fhirpath.shapes import Shape, Shapes, shapes
from fhirserver.fhirpath.static import ANYTHING, NOTHING, Static, Type
from fhirserver.fhirpath.syntax import (
    Binary,
    Call,
    Empty,
    Expr,
    External,
    Indexer,
    Literal,
    Member,
    Polarity,
    SortKey,
    Special,
    TypeOperation,
    TypeSpecifier,
    Union,
)
from fhirserver.fhirpath.values import SYSTEM_TYPES
from fhirserver.fhirpath.variables import constant

# Functions whose first argument must be a Boolean.
_CRITERIA: Final = frozenset({"where", "exists", "all", "iif"})


@dataclass(frozen=True, slots=True)
class Checked:
    """What an expression can give: the names of types (None: anything), and whether several."""

    types: frozenset[str] | None
    many: bool


def check(
    expression: str, type: str, bases: Collection[str] = (), part: Expr | None = None
) -> Checked:
    """What an expression can give on elements of a type.

    `type` is the name of a type or the place of a backbone element (`Patient.contact`).
    `bases` are other types that a path may begin with, as in the unions of search parameters.
    `part` is the parsed expression, where it is not what `expression` alone would be.
    Raises `FhirPathSyntaxError`, and `FhirPathTypeError` for elements that do not exist,
    operands and inputs of a wrong type, and an order that means nothing.
    """
    known = shapes()
    part = parse(expression) if part is None else part
    compile_part(part, expression, known, lenient=True)
    this = static.of(_shape(known, type))
    roots = tuple(_shape(known, base) for base in bases)
    found = _Checker(expression, known, this, this, roots).of(part)
    names = None if found.types is None else frozenset(map(static.name_of, found.types))
    return Checked(names, found.many)


def _shape(known: Shapes, type_: str) -> Shape:
    if type_ in known.definitions.types:
        return known.of(type_)
    owner = known.definitions.structure(type_.partition(".")[0])
    element = None if owner is None else owner.elements.get(type_)
    if element is None or not element.types:
        raise FhirPathTypeError(f"There is no type '{type_}'.")
    return known.of(element.types[0].code, type_)


@dataclass(frozen=True, slots=True)
class _Checker:
    text: str
    shapes: Shapes
    root: Static
    this: Static
    bases: tuple[Shape, ...]

    def of(self, part: Expr) -> Static:
        """What a part can give."""
        match part:
            case Empty():
                return NOTHING
            case Literal(value):
                return static.of(SYSTEM_TYPES[type(value)])
            case Special() | External():
                return self._variable(part)
            case Member():
                return self._member(part)
            case Call():
                return self._call(part)
            case Indexer(source, _):
                found = self.of(source)
                self._ordered(found, part, "[ ]")
                return found._replace(many=False)
            case Polarity(_, operand):
                return self._polarity(self.of(operand), part)
            case Binary():
                return self._binary(part)
            case Union(operands):
                return static.either(map(self.of, operands))._replace(many=True)
            case TypeOperation(operator, operand, type_):
                return self._typed(operator, self.of(operand), type_)
            case SortKey(key, _):
                return self.of(key)
            case _:
                assert_never(part)

    def _fail(self, text: str, part: Expr) -> NoReturn:
        raise FhirPathTypeError(text, position(self.text, part.at))

    def _variable(self, part: Special | External) -> Static:
        match part:
            case Special("this"):
                return self.this
            case Special("index"):
                return static.of("Integer")
            case External("context"):
                return self.root
            case External(name) if constant(name) is not None:
                return static.of("String")
            case _:
                return ANYTHING

    # --- elements -----------------------------------------------------------------------

    def _member(self, part: Member) -> Static:
        source = self.this if part.source is None else self.of(part.source)
        if source.types is None:
            return ANYTHING
        found: set[Type] = set()
        many = source.many
        matched = not source.types
        for type_ in self._starts(part, source.types):
            if isinstance(type_, str):
                continue
            if part.source is None and names_type(type_, part.name):
                found.add(type_)
                matched = True
                continue
            element = type_.members.get(part.name)
            if element is None:
                continue
            matched = True
            many = many or element.many
            for way in element.alternatives:
                if way.shape is None:
                    return ANYTHING._replace(ordered=source.ordered)
                found.add(way.shape)
        if not matched:
            self._fail(self._unknown_member(part, source.types), part)
        return Static(frozenset(found), many, source.ordered)

    def _starts(self, part: Member, types: frozenset[Type]) -> Collection[Type]:
        if part.source is not None or self.this is not self.root:
            return types
        return [*types, *(base for base in self.bases if names_type(base, part.name))]

    def _unknown_member(self, part: Member, types: frozenset[Type]) -> str:
        owner = " or ".join(sorted(map(static.name_of, types)))
        if part.source is None and part.name in self.shapes.definitions.types:
            return f"The path begins at {owner}, not at {part.name}."
        for type_ in types:
            if isinstance(type_, Shape) and part.name in type_.by_property:
                name = type_.by_property[part.name]
                return f"{owner} has no element '{part.name}': write {name}, as in {name}.ofType()."
        return f"{owner} has no element '{part.name}'."

    def _typed(self, operator: str, operand: Static, type_: TypeSpecifier) -> Static:
        if operator == "is":
            return static.of("Boolean")
        known = self.shapes.resolve_type(type_)
        if known is None:
            return ANYTHING
        namespace, name = known
        reached: Type = name if namespace == "System" else self.shapes.of(name)
        return Static(frozenset({reached}), operand.many, operand.ordered)

    # --- operators ----------------------------------------------------------------------

    def _polarity(self, operand: Static, part: Expr) -> Static:
        if not static.fits(operand, "Quantity"):
            self._fail(f"Only numbers and quantities have a sign, not {_names(operand)}.", part)
        return operand

    def _binary(self, part: Binary) -> Static:
        left, right = self.of(part.left), self.of(part.right)
        ours, theirs = left.systems, right.systems
        if ours is None or theirs is None:
            ours = theirs = None
        if not ours or not theirs:
            return self._unknown_operands(part.operator)
        found = {
            result
            for one in ours
            for other in theirs
            if (result := static.computed(part.operator, one, other)) is not None
        }
        if not found:
            self._fail(
                f"'{part.operator}' is not defined for {_names(left)} and {_names(right)}.", part
            )
        return static.of(*found)

    def _unknown_operands(self, operator: str) -> Static:
        if operator in ("+", "-", "*", "/", "div", "mod"):
            return ANYTHING._replace(many=False)
        return static.of("String" if operator == "&" else "Boolean")

    # --- functions ----------------------------------------------------------------------

    def _call(self, part: Call) -> Static:
        function = FUNCTIONS[part.name]
        source = self.this if part.source is None else self.of(part.source)
        if not static.fits(source, function.takes):
            text = f"{part.name}() takes a {function.takes}, not {_names(source)}."
            self._fail(text, part)
        if function.ordered:
            self._ordered(source, part, f"{part.name}()")
        if function.kind is Kind.TYPE:
            type_ = type_specifier(part.arguments[0])
            assert type_ is not None
            return self._typed(part.name, source, type_)
        arguments = self._arguments(part, function, source)
        if part.name in _CRITERIA and arguments and not static.fits(arguments[0], "Boolean"):
            self._fail(f"{part.name}() takes a Boolean, not {_names(arguments[0])}.", part)
        return self._result(function, source, arguments)

    def _arguments(self, part: Call, function: Function, source: Static) -> list[Static]:
        inner = self
        if function.kind is not Kind.VALUES and part.name != "coalesce":
            inner = replace(self, this=source._replace(many=part.name == "defineVariable"))
        return [inner.of(argument) for argument in part.arguments]

    def _result(self, function: Function, source: Static, arguments: list[Static]) -> Static:
        ordered = source.ordered and not function.unordered
        many = source.many if function.gives_many is None else function.gives_many
        match function.gives:
            case "any":
                return ANYTHING._replace(many=many, ordered=ordered)
            case "same":
                return source._replace(many=many, ordered=ordered)
            case "argument":
                return arguments[0]._replace(many=True, ordered=ordered)
            case "choice":
                return static.either(arguments[1:])
            case "Extension":
                return static.of(self.shapes.of("Extension"), many=True)
            case name:
                return static.of(name)

    def _ordered(self, source: Static, part: Expr, function: str) -> None:
        if not source.ordered:
            self._fail(f"{function} needs an order, and here there is none.", part)


def _names(found: Static) -> str:
    return " or ".join(sorted(map(static.name_of, found.types or ()))) or "anything"
