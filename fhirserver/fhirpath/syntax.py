"""The parts of a parsed expression.

`at` is the offset of a part in the text; two expressions are equal whatever their offsets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from fhirserver.fhirpath.values import SystemValue


@dataclass(frozen=True, slots=True)
class Empty:
    """`{}`"""

    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Literal:
    """`true`, `'text'`, `1`, `1.0`, `@2020`, `@T10:00`, `4 days`, `5 'mg'`"""

    value: SystemValue
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Special:
    """`$this`, `$index`, `$total` (`name` is without `$`)."""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class External:
    """`%resource`"""

    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Member:
    """`source.name`; without a source, `name` where an expression begins."""

    source: Expr | None
    name: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """`source.name(arguments)`"""

    source: Expr | None
    name: str
    arguments: tuple[Expr, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Indexer:
    """`source[index]`"""

    source: Expr
    index: Expr
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Polarity:
    """`-operand`, `+operand`"""

    sign: str
    operand: Expr
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`"""

    operator: str
    left: Expr
    right: Expr
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Union:
    """`a | b | c`, flat: union is associative and search parameters have dozens of branches."""

    operands: tuple[Expr, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class TypeSpecifier:
    """`FHIR.Patient`, `System.String`, `Patient`"""

    namespace: str | None
    name: str


@dataclass(frozen=True, slots=True)
class TypeOperation:
    """`operand is T`, `operand as T`"""

    operator: str
    operand: Expr
    type: TypeSpecifier
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class SortKey:
    """`key asc`, `key desc` as an argument of `sort`"""

    key: Expr
    descending: bool
    at: int = field(default=0, compare=False)


Expr: TypeAlias = (
    Empty
    | Literal
    | Special
    | External
    | Member
    | Call
    | Indexer
    | Polarity
    | Binary
    | Union
    | TypeOperation
    | SortKey
)


def children(part: Expr) -> tuple[Expr, ...]:
    """The parts that a part is directly made of."""
    match part:
        case Empty() | Literal() | Special() | External():
            return ()
        case Member(source):
            return () if source is None else (source,)
        case Call(source, _, arguments):
            return arguments if source is None else (source, *arguments)
        case Indexer(source, index):
            return (source, index)
        case Polarity(_, operand) | TypeOperation(_, operand):
            return (operand,)
        case Binary(_, left, right):
            return (left, right)
        case Union(operands):
            return operands
        case SortKey(key):
            return (key,)
        case _:
            assert_never(part)


def walk(part: Expr) -> Iterator[tuple[Expr, int]]:
    """Every part of an expression with its depth, which is 1 for the whole."""
    stack = [(part, 1)]
    while stack:
        item, depth = stack.pop()
        yield item, depth
        stack.extend((child, depth + 1) for child in children(item))
