"""The text of a selector as a `Path`.

https://www.w3.org/TR/1999/REC-xpath-19991116/, of which `fhirserver.xml.selector` tells the
part. A name without a prefix is one of the default namespace (RFC 5261, 4.2.2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NoReturn

from fhirserver.errors import Invalid
from fhirserver.xml.parser import SEPARATOR, XML
from fhirserver.xml.selector import NUMBERS, At, Axis, Condition, Path, Step, Value, compared
from fhirserver.xml.tree import Comment, Element, Instruction, Node, Text

MAX_LENGTH: Final = 2000
_MAX_NESTING = 20

_NAME = r"[^\W\d][\w.-]*"
_TOKEN = re.compile(
    rf"""\s*(?:"([^"]*)"|'([^']*)'|(\d+(?:\.\d+)?)|({_NAME}(?::(?:{_NAME}|\*))?)|"""
    r"""(//|::|!=|[/@\[\]()=*.])|$)"""
)
_KINDS = ("", "literal", "literal", "number", "name", "sign")  # of the groups of a token
_NODE_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "text": Text,
    "comment": Comment,
    "processing-instruction": Instruction,
    "node": (Element, Text, Comment, Instruction),
}


def path(text: str, namespaces: Mapping[str, str]) -> Path:
    """The path of a selector, whose prefixes are those of `namespaces` ('' the default one).

    Raises `Invalid`, naming the place, for what is none or is not understood.
    """
    if len(text) > MAX_LENGTH:
        raise Invalid(f"A selector may have {MAX_LENGTH} characters.")
    return _Parser(text, namespaces).whole()


class _Parser:
    """`_kind` and `_word` are the token that is next, at `_start`; the kind of the end is ''."""

    def __init__(self, text: str, namespaces: Mapping[str, str]) -> None:
        self._text = text
        self._namespaces = namespaces
        self._nesting = 0
        self._kind = self._word = ""
        self._start = self._end = 0
        self._advance()

    def whole(self) -> Path:
        found = self._path()
        if self._kind:
            self._fail()
        return found

    # --- tokens -----------------------------------------------------------------------------

    def _advance(self) -> str:
        """Goes on to the next token; the word of the one that was."""
        before = self._word
        self._start = self._end
        found = _TOKEN.match(self._text, self._end)
        if found is None:
            self._fail()
        self._end = found.end()
        group = found.lastindex or 0
        self._kind, self._word = _KINDS[group], found[group] if group else ""
        return before

    def _is(self, *words: str) -> bool:
        return self._kind in ("sign", "name") and self._word in words

    def _takes(self, *words: str) -> bool:
        if not self._is(*words):
            return False
        self._advance()
        return True

    def _expect(self, word: str) -> None:
        if not self._takes(word):
            self._fail()

    def _fail(self) -> NoReturn:
        rest = self._text[self._start :].strip()
        what = f"'{rest}' of the selector" if rest else "the end of the selector"
        raise Invalid(f"The selector '{self._text}' is not understood: see {what}.")

    # --- paths ------------------------------------------------------------------------------

    def _path(self) -> Path:
        absolute = self._is("/", "//")
        deep = self._is("//")
        if absolute:
            self._advance()
        steps = [self._step(deep=deep)]
        while self._is("/", "//"):
            deep = self._advance() == "//"
            steps.append(self._step(deep=deep))
        return Path(tuple(steps), absolute)

    def _step(self, *, deep: bool) -> Step:
        axis: Axis = "child"
        test: Callable[[Node], bool] = _any_element
        name: str | None = None
        if self._takes("."):
            axis = "self"
        elif self._takes("@"):
            axis, name = "attribute", self._attribute()
        elif self._takes("*"):
            pass
        elif self._kind == "name":
            word = self._advance()
            if self._takes("::"):
                if word != "namespace":
                    self._fail()
                axis, name = "namespace", self._prefix()
            elif self._takes("("):
                test = self._node_test(word)
            else:
                test = partial(_is_named, self._expanded(word, self._namespaces.get("", "")))
        else:
            self._fail()
        return Step(axis, deep, test, name, self._conditions())

    def _attribute(self) -> str | None:
        if self._takes("*"):
            return None
        if self._kind != "name":
            self._fail()
        return self._expanded(self._advance(), "")

    def _prefix(self) -> str | None:
        if self._takes("*"):
            return None
        if self._kind != "name":
            self._fail()
        return self._advance()

    def _node_test(self, word: str) -> Callable[[Node], bool]:
        if word not in _NODE_TYPES:
            self._fail()
        target = None
        if word == "processing-instruction" and self._kind == "literal":
            target = self._advance()
        self._expect(")")
        return partial(_is_of, _NODE_TYPES[word], target)

    def _expanded(self, name: str, default: str) -> str:
        prefix, colon, local = name.partition(":")
        if not colon:
            return f"{default}{SEPARATOR}{name}" if default else name
        uri = XML if prefix == "xml" else self._namespaces.get(prefix)
        if uri is None:
            raise Invalid(f"The prefix '{prefix}' of the selector '{self._text}' is not declared.")
        return f"{uri}{SEPARATOR}{local}"

    # --- conditions -------------------------------------------------------------------------

    def _conditions(self) -> tuple[Condition, ...]:
        found = []
        while self._takes("["):
            found.append(self._either())
            self._expect("]")
        return tuple(found)

    def _either(self) -> Condition:
        self._nesting += 1
        if self._nesting > _MAX_NESTING:
            raise Invalid("The conditions of the selector are nested too deeply.")
        found = self._both()
        while self._takes("or"):
            found = partial(_or, found, self._both())
        self._nesting -= 1
        return found

    def _both(self) -> Condition:
        found = self._comparison()
        while self._takes("and"):
            found = partial(_and, found, self._comparison())
        return found

    def _comparison(self) -> Condition:
        one = self._operand()
        if not self._is("=", "!="):
            return one
        equal = self._advance() == "="
        return partial(_compared, one, self._operand(), equal)

    def _operand(self) -> Condition:
        if self._kind == "literal":
            return partial(_constant, self._advance())
        if self._kind == "number":
            return partial(_constant, float(self._advance()))
        if self._takes("("):
            found = self._either()
            self._expect(")")
            return found
        if self._kind == "name" and self._text[self._end :].lstrip()[:1] == "(":
            if self._takes("not"):
                self._expect("(")
                found = partial(_not, self._either())
                self._expect(")")
                return found
            if self._word in NUMBERS:
                found = NUMBERS[self._advance()]
                self._expect("(")
                self._expect(")")
                return found
        return partial(_path_value, self._path())


def _any_element(node: Node) -> bool:
    return isinstance(node, Element)


def _is_named(name: str, node: Node) -> bool:
    if not isinstance(node, Element):
        return False
    return node.name == name or (name[-1] == "*" and node.name.startswith(name[:-1]))


def _is_of(kind: type | tuple[type, ...], target: str | None, node: Node) -> bool:
    if not isinstance(node, kind):
        return False
    return target is None or (isinstance(node, Instruction) and node.target == target)


def _constant(value: str | float, at: At) -> Value:
    return value


def _path_value(path: Path, at: At) -> Value:
    return path.follow(at.node, at.document, at.budget)


def _compared(one: Condition, other: Condition, equal: bool, at: At) -> Value:
    return compared(one(at), other(at), at.budget, equal=equal)


def _or(one: Condition, other: Condition, at: At) -> Value:
    return bool(one(at)) or bool(other(at))


def _and(one: Condition, other: Condition, at: At) -> Value:
    return bool(one(at)) and bool(other(at))


def _not(inner: Condition, at: At) -> Value:
    return not inner(at)
