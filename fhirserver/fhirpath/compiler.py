"""From the parts of an expression to closures.

A compiled part is a function of a frame; parts are evaluated from left to right. Plain paths
go to `fhirserver.fhirpath.paths`, functions to their table, operators to theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from fhirserver.fhirpath import logic, types
from fhirserver.fhirpath.context import Code, Frame, Key, text_steps
from fhirserver.fhirpath.errors import (
    FhirPathError,
    FhirPathExecutionError,
    FhirPathSyntaxError,
    Position,
    position,
)
from fhirserver.fhirpath.functions import FUNCTIONS
from fhirserver.fhirpath.functions.function import Function, Kind
from fhirserver.fhirpath.node import Collection, Node
from fhirserver.fhirpath.operators import EMPTY, OPERATORS, affirm, negate
from fhirserver.fhirpath.paths import OfType, Step, Walk, WhereRefers, build, steps, type_specifier
from fhirserver.fhirpath.shapes import Shape, Shapes
from fhirserver.fhirpath.steps import follow
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
    walk,
)
from fhirserver.fhirpath.variables import external

_SPECIAL = {"index": logic.index, "total": logic.total}


def compile_part(part: Expr, text: str, shapes: Shapes, *, lenient: bool) -> Code:
    """The code of a whole expression; `text` is what its places refer to.

    With `lenient`, `as` keeps what fits of several items, as search parameters and
    invariants of R4 expect; otherwise several items are an error, as FHIRPath says.
    Raises `FhirPathError` for unknown functions and types.
    """
    defines = any(isinstance(p, Call) and p.name == "defineVariable" for p, _ in walk(part))
    try:
        return _Compiler(text, shapes, lenient, defines).compile(part)
    except RecursionError:
        raise FhirPathSyntaxError("The expression nests too deeply.") from None


def malformed() -> FhirPathExecutionError:
    """The refusal of a resource that is not even formed as FHIR's JSON."""
    return FhirPathExecutionError(
        "An element of the resource holds JSON of the wrong kind: validate the resource first."
    )


@dataclass(frozen=True, slots=True)
class _Compiler:
    text: str
    shapes: Shapes
    lenient: bool
    defines: bool

    def compile(self, part: Expr) -> Code:
        start, path = steps(part, lenient=self.lenient)
        if path:
            return self._path(start, path, part)
        match part:
            case Empty() | Literal() | Special() | External():
                return self._leaf(part)
            case Call():
                return self._located(self._call(part), part)
            case Indexer(source, at):
                return self._located(logic.indexer(self.compile(source), self._inner(at)), part)
            case Polarity(sign, operand):
                return self._polarity(sign, operand, part)
            case Binary():
                return self._located(self._binary(part), part)
            case Union(operands):
                return logic.union([self._inner(item) for item in operands])
            case TypeOperation(operator, operand, type_):
                code = self._type(operator, self.compile(operand), type_, part)
                return self._located(code, part)
            case Member() | SortKey():
                raise AssertionError(part)
            case _:
                assert_never(part)

    def _leaf(self, part: Empty | Literal | Special | External) -> Code:
        match part:
            case Empty():
                return lambda frame: EMPTY
            case Literal(value):
                constant: Collection = [value]
                return lambda frame: constant
            case Special("this"):
                return logic.this
            case Special(name):
                return self._located(_SPECIAL[name], part)
            case External(name):
                return self._located(lambda frame: external(frame, name), part)
            case _:
                assert_never(part)

    def _inner(self, part: Expr) -> Code:
        """The code of a part within which the variables that it defines stay."""
        code = self.compile(part)
        if not self.defines:
            return code

        def inner(frame: Frame) -> Collection:
            variables = frame.variables
            found = code(frame)
            frame.variables = variables
            return found

        return inner

    def _place(self, part: Expr) -> Position:
        return position(self.text, part.at)

    def _located(self, code: Code, part: Expr) -> Code:
        """The same code, whose errors say where they happened."""

        def located(frame: Frame) -> Collection:
            try:
                return code(frame)
            except FhirPathError as error:
                error.locate(self._place(part))
                raise

        return located

    def _path(self, start: Expr | None, path: tuple[Step, ...], part: Expr) -> Code:
        for step in path:
            if isinstance(step, OfType | WhereRefers):
                self._known(step.type, part)
        source = logic.this if start is None else self.compile(start)
        return along(source, path)

    def _known(self, type_: TypeSpecifier, part: Expr) -> None:
        try:
            types.known(self.shapes, type_)
        except FhirPathError as error:
            error.locate(self._place(part))
            raise

    def _call(self, part: Call) -> Code:
        function = FUNCTIONS.get(part.name)
        if function is None:
            raise FhirPathSyntaxError(f"There is no function {part.name}().", self._place(part))
        count = len(part.arguments)
        if count < function.least or (function.most is not None and count > function.most):
            raise FhirPathSyntaxError(_wrong_count(part.name, function), self._place(part))
        source = logic.this if part.source is None else self.compile(part.source)
        match function.kind:
            case Kind.VALUES:
                arguments = [self._inner(argument) for argument in part.arguments]
                return _call_with_values(function.run, source, arguments)
            case Kind.CODES:
                codes = [self._inner(argument) for argument in part.arguments]
                return _call_with_codes(function.run, source, codes)
            case Kind.KEYS:
                keys = [self._key(argument) for argument in part.arguments]
                return _call_with_codes(function.run, source, keys)
            case Kind.TYPE:
                return self._type_call(part, source)
            case _:
                assert_never(function.kind)

    def _key(self, part: Expr) -> Key:
        match part:
            case SortKey(key, descending):
                return Key(self._inner(key), descending)
            case Polarity("-", operand):
                return Key(self._inner(operand), True)
            case _:
                return Key(self._inner(part), False)

    def _type_call(self, part: Call, source: Code) -> Code:
        type_ = type_specifier(part.arguments[0])
        if type_ is None:
            text = f"{part.name}() takes the name of a type."
            raise FhirPathSyntaxError(text, self._place(part))
        return self._type(part.name, source, type_, part)

    def _type(self, operator: str, source: Code, type_: TypeSpecifier, part: Expr) -> Code:
        self._known(type_, part)
        if operator == "is":
            return logic.is_code(source, types.is_test(self.shapes, type_))
        keep = types.as_test(self.shapes, type_)
        if operator == "as" and not self.lenient:
            return logic.as_code(source, keep)
        return logic.of_type_code(source, keep)

    def _polarity(self, sign: str, operand: Expr, part: Expr) -> Code:
        code = self.compile(operand)
        signed = negate if sign == "-" else affirm
        return self._located(lambda frame: signed(code(frame)), part)

    def _binary(self, part: Binary) -> Code:
        left, right = self._inner(part.left), self._inner(part.right)
        make = logic.LOGIC.get(part.operator)
        if make is not None:
            return make(left, right)
        compute = OPERATORS[part.operator]
        if part.operator in ("+", "&"):
            return _counted(lambda frame: compute(left(frame), right(frame)))
        return lambda frame: compute(left(frame), right(frame))


def along(source: Code, path: tuple[Step, ...]) -> Code:
    """A path from the items of `source`, compiled for each type when it is first met."""
    walks: dict[Shape, Walk] = {}

    def along_(frame: Frame) -> Collection:
        out: Collection = []
        for item in source(frame):
            if type(item) is not Node or not item.shape.is_typed:
                out.extend(follow(path, item, frame.run.scope))
                continue
            go = walks.get(item.shape)
            if go is None:
                go = walks[item.shape] = build(path, item.shape)
            try:
                go(item.value, item.extra, out, frame.run.scope)
            except (AttributeError, TypeError):
                raise malformed() from None
        return out

    return along_


def _counted(code: Code) -> Code:
    """The same code, whose texts count as steps."""

    def counted(frame: Frame) -> Collection:
        found = code(frame)
        if found and isinstance(found[0], str):
            frame.run.spend(text_steps(len(found[0])))
        return found

    return counted


def _call_with_values(run: Callable[..., Collection], source: Code, arguments: list[Code]) -> Code:
    match arguments:
        case []:
            return lambda frame: run(frame, source(frame))
        case [argument]:
            return lambda frame: run(frame, source(frame), argument(frame))
        case _:
            return lambda frame: run(
                frame, source(frame), *(argument(frame) for argument in arguments)
            )


def _call_with_codes(
    run: Callable[..., Collection], source: Code, codes: list[Code] | list[Key]
) -> Code:
    match codes:
        case [code]:
            return lambda frame: run(frame, source(frame), code)
        case _:
            return lambda frame: run(frame, source(frame), *codes)


def _wrong_count(name: str, function: Function) -> str:
    if function.least == function.most:
        wanted = str(function.least)
    elif function.most is None:
        wanted = f"{function.least} or more"
    else:
        wanted = f"{function.least} to {function.most}"
    return f"{name}() takes {wanted} argument{'' if wanted == '1' else 's'}."
