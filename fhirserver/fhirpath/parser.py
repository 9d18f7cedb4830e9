"""From the text of an expression to its parts.

https://hl7.org/fhirpath/N1/grammar.html, read by precedence climbing.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final, assert_never

from fhirserver.fhirpath.decimals import MAX_INTEGER
from fhirserver.fhirpath.errors import FhirPathSyntaxError, position
from fhirserver.fhirpath.lexer import Kind, Token, tokens
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
    walk,
)
from fhirserver.fhirpath.temporal import (
    Date,
    DateTime,
    Time,
    parse_date,
    parse_date_time,
    parse_time,
)
from fhirserver.fhirpath.units import CALENDAR_WORDS

MAX_DEPTH: Final = 100
"""How deep the parts of an expression may nest; evaluation recurses over them."""

_TOO_DEEP = f"Nest the expression at most {MAX_DEPTH} levels deep."
_TOO_LARGE = f"An Integer is at most {MAX_INTEGER}: add .0 for a Decimal."

# How tightly an operator binds, from the grammar's order of alternatives.
PRECEDENCE: Final = {
    "implies": 1,
    "or": 2,
    "xor": 2,
    "and": 3,
    "in": 4,
    "contains": 4,
    "=": 5,
    "~": 5,
    "!=": 5,
    "!~": 5,
    "<=": 6,
    "<": 6,
    ">": 6,
    ">=": 6,
    "|": 7,
    "is": 8,
    "as": 8,
    "+": 9,
    "-": 9,
    "&": 9,
    "*": 10,
    "/": 10,
    "div": 10,
    "mod": 10,
}
_POLARITY = 11

# Words that cannot begin a path.
_RESERVED: Final = frozenset({"and", "or", "xor", "implies", "div", "mod"})

_TEMPORAL: Final[dict[Kind, Callable[[str], Date | DateTime | Time | None]]] = {
    Kind.DATE: parse_date,
    Kind.DATETIME: parse_date_time,
    Kind.TIME: parse_time,
}


def parse(text: str) -> Expr:
    """The parts of an expression.

    Raises `FhirPathSyntaxError` for what is no FHIRPath or nests too deeply.
    """
    parser = _Parser(text)
    try:
        whole = parser.expression(0)
    except RecursionError:
        raise FhirPathSyntaxError(_TOO_DEEP) from None
    parser.expect_end()
    if any(depth > MAX_DEPTH for _, depth in walk(whole)):
        raise FhirPathSyntaxError(_TOO_DEEP)
    return whole


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._next = 0
        self._depth = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _advance(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _error(self, text: str, at: int) -> FhirPathSyntaxError:
        return FhirPathSyntaxError(text, position(self._text, at))

    def _unexpected(self, wanted: str) -> FhirPathSyntaxError:
        token = self._token
        found = f"'{token.text}'" if token.kind is not Kind.END else token.kind.value
        return self._error(f"Here should be {wanted}, not {found}.", token.at)

    def _is_symbol(self, text: str) -> bool:
        token = self._token
        return token.kind is Kind.SYMBOL and token.text == text

    def _expect(self, symbol: str) -> None:
        if not self._is_symbol(symbol):
            raise self._unexpected(f"'{symbol}'")
        self._next += 1

    def expect_end(self) -> None:
        if self._token.kind is not Kind.END:
            raise self._unexpected("an operator or the end")

    def expression(self, minimum: int) -> Expr:
        """An expression whose operators all bind tighter than `minimum`."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(
                f"Nest the expression at most {MAX_DEPTH} levels deep.", self._token.at
            )
        left = self._polarity()
        while (precedence := self._operator()) > minimum:
            left = self._infix(left, precedence)
        self._depth -= 1
        return left

    def _operator(self) -> int:
        token = self._token
        if token.kind is Kind.SYMBOL or token.kind is Kind.WORD:
            return PRECEDENCE.get(token.text, 0)
        return 0

    def _infix(self, left: Expr, precedence: int) -> Expr:
        token = self._advance()
        if token.text in ("is", "as"):
            return TypeOperation(token.text, left, self._type_specifier(), token.at)
        right = self.expression(precedence)
        if token.text != "|":
            return Binary(token.text, left, right, token.at)
        if isinstance(left, Union):
            return Union((*left.operands, right), left.at)
        return Union((left, right), token.at)

    def _type_specifier(self) -> TypeSpecifier:
        name = self._name("the name of a type")
        if not self._is_symbol("."):
            return TypeSpecifier(None, name)
        self._next += 1
        return TypeSpecifier(name, self._name("the name of a type"))

    def _name(self, wanted: str) -> str:
        if self._token.kind not in (Kind.WORD, Kind.DELIMITED):
            raise self._unexpected(wanted)
        return self._advance().text

    def _polarity(self) -> Expr:
        token = self._token
        if token.kind is Kind.SYMBOL and token.text in ("+", "-"):
            self._next += 1
            return Polarity(token.text, self.expression(_POLARITY - 1), token.at)
        return self._postfix(self._term())

    def _postfix(self, term: Expr) -> Expr:
        while self._token.kind is Kind.SYMBOL and self._token.text in (".", "["):
            symbol = self._advance()
            if symbol.text == ".":
                term = self._invocation(term)
            else:
                term = Indexer(term, self.expression(0), symbol.at)
                self._expect("]")
        return term

    def _term(self) -> Expr:
        token = self._token
        match token.kind:
            case Kind.WORD | Kind.DELIMITED | Kind.SPECIAL:
                return self._invocation(None)
            case Kind.STRING:
                self._next += 1
                return Literal(token.text, token.at)
            case Kind.NUMBER:
                return self._number()
            case Kind.DATE | Kind.DATETIME | Kind.TIME:
                return self._temporal()
            case Kind.SYMBOL:
                return self._symbol()
            case Kind.END:
                raise self._unexpected("an expression")
            case _:
                assert_never(token.kind)

    def _symbol(self) -> Expr:
        token = self._advance()
        if token.text == "(":
            inner = self.expression(0)
            self._expect(")")
            return inner
        if token.text == "{":
            self._expect("}")
            return Empty(token.at)
        if token.text == "%":
            if self._token.kind is Kind.STRING:
                return External(self._advance().text, token.at)
            return External(self._name("the name of a variable"), token.at)
        self._next -= 1
        raise self._unexpected("an expression")

    def _invocation(self, source: Expr | None) -> Expr:
        token = self._token
        if token.kind is Kind.SPECIAL:
            if source is not None:
                raise self._error(
                    f"{token.text} begins a path: write it without what is before.", token.at
                )
            return Special(self._advance().text[1:], token.at)
        if source is None and token.kind is Kind.WORD:
            if token.text in _RESERVED:
                raise self._unexpected("an expression")
            if token.text in ("true", "false"):
                self._next += 1
                return Literal(token.text == "true", token.at)
        name = self._name("the name of an element or function")
        if not self._is_symbol("("):
            return Member(source, name, token.at)
        self._next += 1
        return Call(source, name, self._arguments(name), token.at)

    def _arguments(self, function: str) -> tuple[Expr, ...]:
        found: list[Expr] = []
        while not self._is_symbol(")"):
            if found:
                self._expect(",")
            argument = self.expression(0)
            if function == "sort":
                argument = self._sort_key(argument)
            found.append(argument)
        self._next += 1
        return tuple(found)

    def _sort_key(self, key: Expr) -> Expr:
        token = self._token
        if token.kind is Kind.WORD and token.text in ("asc", "desc"):
            self._next += 1
            return SortKey(key, token.text == "desc", token.at)
        return key

    def _number(self) -> Expr:
        token = self._advance()
        unit = self._token
        if unit.kind is Kind.STRING:
            self._next += 1
            return Literal(Quantity(Decimal(token.text), unit.text), token.at)
        if unit.kind is Kind.WORD and unit.text in CALENDAR_WORDS:
            self._next += 1
            calendar = CALENDAR_WORDS[unit.text]
            return Literal(Quantity(Decimal(token.text), calendar, CALENDAR), token.at)
        if "." in token.text:
            return Literal(Decimal(token.text), token.at)
        digits = token.text.lstrip("0") or "0"
        if len(digits) > 10 or int(digits) > MAX_INTEGER:
            raise self._error(
                f"An Integer is at most {MAX_INTEGER}: add .0 for a Decimal.", token.at
            )
        return Literal(int(digits), token.at)

    def _temporal(self) -> Expr:
        token = self._advance()
        value = _TEMPORAL[token.kind](token.text.removesuffix("T"))
        if value is None:
            raise self._error(
                f"'{token.text}' is not a {token.kind.value} of the calendar.", token.at
            )
        return Literal(value, token.at)
