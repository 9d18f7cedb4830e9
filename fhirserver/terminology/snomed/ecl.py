"""Expression constraints of SNOMED CT: read, and tried on one concept.

https://docs.snomed.org/ecl. Of the language are here: `*`, an id with or without its term, the
operators `<`, `<<`, `<!`, `>`, `>>`, `>!` and `^`, AND (also as a comma), OR and MINUS,
parentheses, and refinements of attributes with `=` and `!=`, also in groups, which are not told
apart. Whatever else the language has is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from fhirserver.errors import Unprocessable
from fhirserver.terminology.concept import Concept, text_of
from fhirserver.terminology.source import System

Operator: TypeAlias = Literal["", "<", "<<", "<!", ">", ">>", ">!", "^"]

SNOMED: Final = "http://snomed.info/sct"

_LONGEST: Final = 4000
_DEEPEST: Final = 30
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<operator> <<|<!|>>|>!|<|>|\^ )
    | (?P<id> \d{6,18} ) \s* (?P<term> \|[^|]*\| )?
    | (?P<any> \* )
    | (?P<word> AND|OR|MINUS ) \b
    | (?P<sign> != | [(){}:,=] )
    )""",
    re.VERBOSE | re.IGNORECASE,
)

_GROUPED = re.compile(r"[<>^!]\s*\(")


@dataclass(frozen=True, slots=True)
class Focus:
    """Concepts by their place in the hierarchy; `code` None is any."""

    operator: Operator
    code: str | None


@dataclass(frozen=True, slots=True)
class Joined:
    """AND, OR or MINUS of expressions."""

    word: str
    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One of the values of an attribute is, or is not, among those of the constraint."""

    name: Expression
    value: Expression
    equals: bool


@dataclass(frozen=True, slots=True)
class Refined:
    """Concepts of `of` that have the attributes."""

    of: Expression
    attributes: Expression


Expression: TypeAlias = Focus | Joined | Attribute | Refined


@lru_cache(maxsize=256)
def read(text: str) -> Expression:
    """The expression of a text. Raises `Unprocessable`, naming the place that is not understood."""
    if len(text) > _LONGEST:
        raise Unprocessable(f"The expression constraint is longer than {_LONGEST} characters.")
    return _Reader(text).whole()


def is_broken(text: str) -> bool:
    """Whether a text is no expression constraint, also not in those parts of the language that
    are not known here."""
    deep = text.count("(") + text.count("{") > _DEEPEST
    if len(text) > _LONGEST or deep or _GROUPED.search(text) or not _is_known(text):
        return False
    try:
        read(text)
    except Unprocessable:
        return True
    return False


def _is_known(text: str) -> bool:
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            return False
        at = found.end()
    return True


def matches(expression: Expression, concept: Concept, system: System) -> bool:
    """Whether a concept is among those of the constraint."""
    match expression:
        case Focus(operator, code):
            return code is None or _is_there(operator, code, concept, system)
        case Joined("OR", parts):
            return any(matches(part, concept, system) for part in parts)
        case Joined("AND", parts):
            return all(matches(part, concept, system) for part in parts)
        case Joined(_, parts):
            first, *others = parts
            return matches(first, concept, system) and not any(
                matches(part, concept, system) for part in others
            )
        case Refined(of, attributes):
            return matches(of, concept, system) and matches(attributes, concept, system)
        case Attribute():
            return _has(expression, concept, system)


def narrowest(expression: Expression) -> Focus | None:
    """A focus that all concepts of the constraint are in, where one can be told."""
    match expression:
        case Focus("<" | "<<" | "" | "<!", code) if code is not None:
            return expression
        case Refined(of, _):
            return narrowest(of)
        case Joined("AND", parts):
            return next((found for part in parts if (found := narrowest(part))), None)
        case Joined("MINUS", parts):
            return narrowest(parts[0])
    return None


def _is_there(operator: Operator, code: str, concept: Concept, system: System) -> bool:
    match operator:
        case "":
            return concept.code == code
        case "<":
            return system.is_below(concept.code, code)
        case "<<":
            return concept.code == code or system.is_below(concept.code, code)
        case "<!":
            return code in concept.parents
        case ">":
            return system.is_below(code, concept.code)
        case ">>":
            return concept.code == code or system.is_below(code, concept.code)
        case ">!":
            return concept.code in _parents(code, system)
        case "^":
            return code in map(text_of, concept.values("memberOf"))


def _parents(code: str, system: System) -> tuple[str, ...]:
    found = system.find(code)
    return found.parents if found else ()


def _has(attribute: Attribute, concept: Concept, system: System) -> bool:
    for item in concept.data.get("property", ()):
        value = item.get("valueCode")
        if value is None or not item["code"].isdigit():
            continue
        name, counterpart = system.find(item["code"]), system.find(value)
        named = matches(attribute.name, name or _bare(item["code"]), system)
        if named and matches(attribute.value, counterpart or _bare(value), system) is (
            attribute.equals
        ):
            return True
    return False


def _bare(code: str) -> Concept:
    return Concept(code, None, (), {"code": code})


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> Expression:
        found = self._expression(0)
        if self._text[self._at :].strip():
            raise self._refusal()
        return found

    def _expression(self, depth: int) -> Expression:
        if depth > _DEEPEST:
            raise self._refusal()
        first = self._refined(depth)
        return self._joined(first, depth, self._refined, ("AND", "OR", "MINUS"))

    def _joined(
        self,
        first: Expression,
        depth: int,
        read: Callable[[int], Expression],
        words: tuple[str, ...],
    ) -> Expression:
        parts = [first]
        word = found = self._word(words)
        while word is not None and found == word:
            parts.append(read(depth))
            found = self._word(words)
        if found != word and found is not None:
            raise self._refusal()  # words of two kinds need parentheses
        return Joined(word, tuple(parts)) if word else first

    def _refined(self, depth: int) -> Expression:
        of = self._focus(depth)
        if not self._sign(":"):
            return of
        attribute = self._attribute(depth)
        return Refined(of, self._joined(attribute, depth, self._attribute, ("AND", "OR")))

    def _attribute(self, depth: int) -> Expression:
        if depth > _DEEPEST:
            raise self._refusal()
        if self._sign("{"):
            inner = self._attribute(depth + 1)
            inner = self._joined(inner, depth + 1, self._attribute, ("AND", "OR"))
            self._expect("}")
            return inner
        name = self._focus(depth)
        equals = self._sign("=")
        if not equals and not self._sign("!="):
            raise self._refusal()
        return Attribute(name, self._focus(depth), equals)

    def _focus(self, depth: int) -> Expression:
        operator = self._take("operator") or ""
        if self._sign("("):
            inner = self._expression(depth + 1)
            self._expect(")")
            if operator:
                raise self._refusal()
            return inner
        if self._take("any"):
            return Focus("", None)
        code = self._take("id")
        if not code:
            raise self._refusal()
        return Focus(operator, code)  # type: ignore[arg-type]

    def _word(self, words: tuple[str, ...]) -> str | None:
        at = self._at
        if self._sign(","):
            return "AND"
        found = (self._take("word") or "").upper()
        if found in words:
            return found
        self._at = at
        return None

    def _sign(self, sign: str) -> bool:
        found = _TOKEN.match(self._text, self._at)
        if found is None or found.group("sign") != sign:
            return False
        self._at = found.end()
        return True

    def _expect(self, sign: str) -> None:
        if not self._sign(sign):
            raise self._refusal()

    def _take(self, kind: str) -> str | None:
        found = _TOKEN.match(self._text, self._at)
        if found is None or found.group(kind) is None:
            return None
        self._at = found.end()
        return found.group(kind)

    def _refusal(self) -> Unprocessable:
        rest = self._text[self._at :].strip()[:40] or "the end"
        return Unprocessable(f"The expression constraint is not understood at '{rest}'.")
