"""The `div` of a narrative: in JSON one string of XHTML, in XML a part of the document.

https://hl7.org/fhir/R4/narrative.html. Where it can be, the string is the very bytes of the
document, both ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html.entities import html5
from typing import Final
from xml.parsers import expat

from fhirserver.errors import Invalid
from fhirserver.xml.escape import content
from fhirserver.xml.parser import SEPARATOR, XHTML, parser, run

DIV: Final = f"{XHTML}{SEPARATOR}div"

_START_TAG = re.compile(rb"""<[^"'>]*(?:(?:"[^"]*"|'[^']*')[^"'>]*)*>""")
_DIV_TAG = re.compile(rb"<div[\s/>]")
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]{1,31};)")
_OF_XML = frozenset({"amp;", "lt;", "gt;", "quot;", "apos;"})


class Source:
    """A document that is being parsed, from which divs are cut out."""

    def __init__(self, parser: expat.XMLParserType, data: bytes) -> None:
        self._parser = parser
        self._data = data
        self._prefixes = 0
        self._defaults = 0
        self._default_at = -1
        self._until = -1
        self._then: Callable[[], None] = _nothing
        self.declared: dict[str, str] = {}
        """The namespaces that the next start tag declares; who takes them empties it."""
        parser.StartNamespaceDeclHandler = self._start_namespace
        parser.EndNamespaceDeclHandler = self._end_namespace

    def start(self) -> int | None:
        """Where the div begins whose start tag the parser is at.

        None if the bytes do not stand by themselves, as their namespaces are declared outside.
        """
        at = self._parser.CurrentByteIndex
        alone = self._default_at == at and not self._prefixes
        return at if alone and _DIV_TAG.match(self._data, at) else None

    def at_end(self, then: Callable[[], None]) -> None:
        """Has `then` called at the end of the div that the parser is at the start of.

        For one that `start` gave: its end is where its namespace goes out of scope, so that
        nothing in it need be looked at.
        """
        self._until = self._defaults - 1
        self._then = then

    def cut(self, start: int) -> str:
        """The div that began there and whose end tag the parser is at."""
        tag = _START_TAG.match(self._data, start)
        assert tag is not None, "the parser has read it"
        end = tag.end()
        if self._data[end - 2 : end] != b"/>":
            end = self._data.index(b">", self._parser.CurrentByteIndex) + 1
        return self._data[start:end].decode()

    def _start_namespace(self, prefix: str | None, uri: str | None) -> None:
        self.declared[prefix or ""] = uri or ""
        if prefix is None:
            self._default_at = self._parser.CurrentByteIndex
            self._defaults += 1
        else:
            self._prefixes += 1

    def _end_namespace(self, prefix: str | None) -> None:
        if prefix is not None:
            self._prefixes -= 1
            return
        self._defaults -= 1
        if self._defaults == self._until:
            self._until = -1
            self._then()


def _nothing() -> None:
    return None


def embedded(div: str) -> str:
    """The XHTML of a JSON narrative as it may stand in a document of FHIR's namespace.

    That is the string itself if it is well-formed. HTML's entities become the characters that
    they name, a missing namespace is put in, and what is no XHTML at all stands as plain text.
    """
    text = div.strip()
    name = _root(text)
    if name is None:
        text = _ENTITY.sub(_character, text)
        name = _root(text)
    if name == DIV:
        return text
    if name == "div":
        return f'<div xmlns="{XHTML}"{text[4:]}'
    return f'<div xmlns="{XHTML}">{content(div)}</div>'


def _root(text: str) -> str | None:
    """The name of the root of a text that begins with a div; None if it is not well-formed."""
    if not text.startswith("<div"):
        return None
    found: list[str] = []
    made = parser()

    def start(name: str, attributes: dict[str, str]) -> None:
        found.append(name)
        made.StartElementHandler = None

    made.StartElementHandler = start
    try:
        run(made, text)
    except (Invalid, UnicodeEncodeError):
        return None
    return found[0]


def _character(found: re.Match[str]) -> str:
    name = found[1]
    return found[0] if name in _OF_XML else content(html5.get(name, found[0]))
