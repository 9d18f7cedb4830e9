"""From the text of a filter to its parts.

https://hl7.org/fhir/R4/search_filter.html. Length, nesting and the number of tests are bounded.
"""

from __future__ import annotations

import json
import re
from typing import Final, Literal, Never, cast

from fhirserver.errors import Invalid, TooCostly
from fhirserver.search.filter.syntax import (
    OPERATORS,
    Filter,
    Logical,
    Negation,
    Operator,
    Step,
    Test,
)
from fhirserver.search.refusal import choice

MAX_LENGTH: Final = 16_384
MAX_DEPTH: Final = 16
MAX_TESTS: Final = 200

_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[A-Za-z]+\b")
_NAME = re.compile(r"[A-Za-z_][\w-]*(?::[A-Za-z_][\w-]*)*", re.ASCII)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_TOKEN = re.compile(r"[^\s)\]\"][^\s)\]]*")


def parse(text: str) -> Filter:
    """The filter that a text means.

    Raises `Invalid`, which tells the character where it goes wrong, and `TooCostly` for a
    filter that is too long or too deep.
    """
    if len(text) > MAX_LENGTH:
        raise TooCostly(f"Write a filter of at most {MAX_LENGTH} characters.")
    parser = _Parser(text)
    found = parser.filter(0)
    parser.end()
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._tests = 0
        self._space()

    def filter(self, depth: int) -> Filter:
        """Operands with `and` or `or` between, taken from left to right."""
        found = self._operand(depth)
        last = None
        while operator := self._keyword(("and", "or")):
            depth += last not in (None, operator)  # each change of the operator nests what was
            last = operator
            operand = self._operand(depth)
            found = Logical(cast(Literal["and", "or"], operator), found, operand)
        return found

    def end(self) -> None:
        if self._at < len(self._text):
            self._fail("the end, 'and' or 'or'")

    def _operand(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise TooCostly(f"Nest a filter at most {MAX_DEPTH} deep.")
        if self._taken("("):
            return self._closed(")", depth)
        if self._keyword(("not",)):
            if not self._taken("("):
                self._fail("'(' after 'not'")
            return Negation(self._closed(")", depth))
        return self._test(depth)

    def _closed(self, bracket: str, depth: int) -> Filter:
        found = self.filter(depth + 1)
        if not self._taken(bracket):
            self._fail(f"'{bracket}', 'and' or 'or'")
        return found

    def _test(self, depth: int) -> Test:
        self._tests += 1
        if self._tests > MAX_TESTS:
            raise TooCostly(f"Write at most {MAX_TESTS} conditions in a filter.")
        start = self._at + 1
        path = self._path(depth)
        operator = self._keyword(OPERATORS)
        if operator is None:
            self._fail(f"an operator ({choice(OPERATORS)})")
        return Test(path, cast(Operator, operator), self._value(), start)

    def _path(self, depth: int) -> tuple[Step, ...]:
        steps: list[Step] = []
        while True:
            found = _NAME.match(self._text, self._at)
            if found is None:
                self._fail("the name of a search parameter")
            self._at = found.end()
            where = None
            if self._is_next("["):
                self._taken("[")
                where = self.filter(depth + 1)
                if not self._is_next("]"):
                    self._fail("']', 'and' or 'or'")
                self._at += 1
            steps.append(Step(found.group(), where))
            if not self._is_next("."):
                if where is not None:
                    self._fail("'.' and a name after ']'")
                self._space()
                return tuple(steps)
            self._at += 1

    def _value(self) -> str:
        found = _STRING.match(self._text, self._at)
        if found is not None:
            try:
                value = json.loads(found.group())
            except ValueError:
                self._fail("a JSON string")
        else:
            found = _TOKEN.match(self._text, self._at)
            if found is None:
                self._fail("a value")
            value = found.group()
        self._at = found.end()
        if self._at < len(self._text) and self._text[self._at] not in ")]" and not self._space():
            self._fail("a space after the value")
        self._space()
        if not value:
            raise Invalid(f"A value is empty before character {self._at + 1}: write one.")
        return str(value)

    # --- characters --------------------------------------------------------------------------

    def _keyword(self, words: tuple[str, ...]) -> str | None:
        """One of the words, in any case; None where another stands."""
        found = _WORD.match(self._text, self._at)
        word = found.group().lower() if found else None
        if found is None or word not in words:
            return None
        after = self._text[found.end() : found.end() + 1]
        if after and not after.isspace() and not (after == "(" and word in _BEFORE_FILTER):
            return None
        self._at = found.end()
        self._space()
        return word

    def _taken(self, character: str) -> bool:
        if not self._is_next(character):
            return False
        self._at += 1
        self._space()
        return True

    def _is_next(self, character: str) -> bool:
        return self._text.startswith(character, self._at)

    def _space(self) -> bool:
        found = _SPACE.match(self._text, self._at)
        assert found is not None
        self._at = found.end()
        return bool(found.group())

    def _fail(self, wanted: str) -> Never:
        there = self._text[self._at : self._at + 20]
        found = f"not '{there}'" if there else "and the text ends"
        raise Invalid(f"At character {self._at + 1} {wanted} should stand, {found}.")


_BEFORE_FILTER = frozenset({"and", "or", "not"})
