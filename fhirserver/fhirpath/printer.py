"""From the parts of an expression to a text that means the same.

Operators are set in parentheses wherever the reader might have to think.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import assert_never

from fhirserver.fhirpath.quantity import CALENDAR, Quantity
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
from fhirserver.fhirpath.temporal import Date, DateTime, Time
from fhirserver.fhirpath.values import SystemValue

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_WORDS = frozenset(
    {"and", "or", "xor", "implies", "div", "mod", "is", "as", "in", "contains", "true", "false"}
)
_ESCAPES = str.maketrans(
    {"\\": "\\\\", "'": "\\'", "`": "\\`", "\r": "\\r", "\n": "\\n", "\t": "\\t", "\f": "\\f"}
)


def text(part: Expr) -> str:
    """The text of an expression; parsing it gives an equal expression."""
    match part:
        case Empty() | Literal() | Special() | External():
            return _leaf(part)
        case Member(source, name):
            return f"{_before(source)}{_name(name)}"
        case Call(source, name, arguments):
            return f"{_before(source)}{_name(name)}({', '.join(map(text, arguments))})"
        case Indexer(source, index):
            return f"{_operand(source)}[{text(index)}]"
        case Polarity(sign, operand):
            return f"{sign}{_operand(operand)}"
        case Binary(operator, left, right):
            return f"{_operand(left)} {operator} {_operand(right)}"
        case Union(operands):
            return " | ".join(map(_operand, operands))
        case TypeOperation(operator, operand, type_):
            return f"{_operand(operand)} {operator} {type_text(type_)}"
        case SortKey(key, descending):
            return f"{text(key)} {'desc' if descending else 'asc'}"
        case _:
            assert_never(part)


def _leaf(part: Empty | Literal | Special | External) -> str:
    match part:
        case Empty():
            return "{}"
        case Literal(value):
            return literal(value)
        case Special(name):
            return f"${name}"
        case External(name):
            return f"%{_name(name)}"
        case _:
            assert_never(part)


def literal(value: SystemValue) -> str:
    """The literal that gives a value."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f"'{value.translate(_ESCAPES)}'"
        case Date() | DateTime() | Time():
            return _temporal(value)
        case Quantity(number, unit, system):
            return f"{number:f} {unit if system == CALENDAR else literal(unit)}"
        case Decimal():
            plain = format(value, "f")
            return plain if "." in plain else f"{plain}.0"
        case int():
            return str(value)
        case _:
            assert_never(value)


def type_text(type_: TypeSpecifier) -> str:
    """A type specifier as it is written."""
    if type_.namespace is None:
        return _name(type_.name)
    return f"{_name(type_.namespace)}.{_name(type_.name)}"


def _temporal(value: Date | DateTime | Time) -> str:
    match value:
        case Time():
            return f"@T{value}"
        case DateTime() if "T" not in str(value):
            return f"@{value}T"
        case _:
            return f"@{value}"


def _before(source: Expr | None) -> str:
    return "" if source is None else f"{_operand(source)}."


def _operand(part: Expr) -> str:
    match part:
        case Polarity() | Binary() | Union() | TypeOperation():
            return f"({text(part)})"
        case Literal(Quantity()):
            return f"({text(part)})"
        case _:
            return text(part)


def _name(name: str) -> str:
    if _PLAIN.fullmatch(name) and name not in _WORDS:
        return name
    return f"`{name.translate(_ESCAPES)}`"
