"""The rules for the XHTML of a narrative.

https://hl7.org/fhir/R4/narrative.html#rules: txt-1 (formatting elements and attributes of
HTML 4.0 only, no scripts, forms, frames, links or active content) and txt-2 (some content).
"""

from __future__ import annotations

from typing import Final
from xml.parsers import expat

_XHTML: Final = "http://www.w3.org/1999/xhtml"
_SEPARATOR: Final = " "

ELEMENTS: Final = frozenset(
    [
        "p",
        "br",
        "div",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "a",
        "span",
        "b",
        "em",
        "i",
        "strong",
        "small",
        "big",
        "tt",
        "dfn",
        "q",
        "var",
        "abbr",
        "acronym",
        "cite",
        "blockquote",
        "hr",
        "address",
        "bdo",
        "kbd",
        "samp",
        "code",
        "pre",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "table",
        "caption",
        "colgroup",
        "col",
        "thead",
        "tfoot",
        "tbody",
        "tr",
        "td",
        "th",
        "img",
        "map",
        "area",
        "sub",
        "sup",
        "del",
        "ins",
        "style",
    ]
)
_EVERYWHERE: Final = frozenset(
    [
        "title",
        "style",
        "class",
        "id",
        "lang",
        "xml:lang",
        "dir",
        "accesskey",
        "tabindex",
        "span",
        "width",
        "align",
        "valign",
        "char",
        "charoff",
        "abbr",
        "axis",
        "headers",
        "scope",
        "rowspan",
        "colspan",
    ]
)
ATTRIBUTES: Final = {
    "a": frozenset(["href", "name"]),
    "img": frozenset(["src", "alt", "height", "border", "longdesc", "ismap", "usemap"]),
    "map": frozenset({"name"}),
    "area": frozenset(["shape", "coords", "href", "nohref", "alt"]),
    "table": frozenset(
        ["summary", "border", "frame", "rules", "cellspacing", "cellpadding", "bgcolor"]
    ),
    "style": frozenset(["type", "media"]),
    "td": frozenset(["nowrap", "bgcolor", "height"]),
    "th": frozenset(["nowrap", "bgcolor", "height"]),
    "tr": frozenset({"bgcolor"}),
    "ol": frozenset(["type", "start"]),
    "ul": frozenset({"type"}),
    "li": frozenset(["type", "value"]),
    "br": frozenset({"clear"}),
    "blockquote": frozenset({"cite"}),
    "q": frozenset({"cite"}),
    "del": frozenset(["cite", "datetime"]),
    "ins": frozenset(["cite", "datetime"]),
    "hr": frozenset(["noshade", "size"]),
}
_UNSAFE_URLS: Final = ("javascript:", "vbscript:", "data:text/html")


class _Broken(Exception):
    """The narrative breaks a rule, which the text tells; ends the parsing."""


_ALLOWED: Final = {
    f"{_XHTML}{_SEPARATOR}{name}": ATTRIBUTES.get(name, frozenset()) | _EVERYWHERE
    for name in ELEMENTS
}
"""The attributes of each element, by its name as the parser tells it."""


class _Checker:
    def __init__(self) -> None:
        self.parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        self.parser.StartElementHandler = self.first
        self.parser.CharacterDataHandler = self.text
        self.parser.StartDoctypeDeclHandler = self.refuse
        self.parser.ProcessingInstructionHandler = self.refuse
        self.has_content = False

    def first(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(_SEPARATOR)[2]
        if local != "div":
            raise _Broken(f"it begins with a div, not with '{local}'")
        self.parser.StartElementHandler = self.start
        self.start(name, attributes)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        allowed = _ALLOWED.get(name)
        if allowed is None:
            raise _Broken(_stranger(name))
        if attributes:
            self._attributes(name, attributes, allowed)

    def _attributes(self, name: str, attributes: dict[str, str], allowed: frozenset[str]) -> None:
        local = name.rpartition(_SEPARATOR)[2]
        for attribute, value in attributes.items():
            plain = attribute.rpartition(_SEPARATOR)[2]
            if plain not in allowed:
                raise _Broken(f"the attribute '{plain}' is not allowed on '{local}'")
            if plain in ("href", "src") and value.strip().lower().startswith(_UNSAFE_URLS):
                raise _Broken(f"the address in '{plain}' is not safe")
        if local == "img" and "src" in attributes:
            self.has_content = True

    def text(self, data: str) -> None:
        if not data.isspace():
            self.has_content = True
            self.parser.CharacterDataHandler = None  # what else is said makes no difference

    def refuse(self, *_: object) -> None:
        raise _Broken("it has a document type or a processing instruction")


def _stranger(name: str) -> str:
    namespace, _, local = name.rpartition(_SEPARATOR)
    if namespace != _XHTML:
        return f"'{local}' is in the namespace '{namespace}', not in that of XHTML"
    return f"the element '{local}' is not allowed"


def is_narrative(xhtml: str) -> bool:
    """Whether a `div` keeps the rules for narratives and says something."""
    return breach(xhtml) is None


def breach(xhtml: str) -> str | None:
    """The rule that a narrative breaks, in words; None if it keeps them all."""
    checker = _Checker()
    try:
        checker.parser.Parse(xhtml, True)
    except _Broken as broken:
        return str(broken)
    except expat.ExpatError as error:
        return f"it is not XML: {error}"
    except ValueError:
        return "it holds characters that are not text"
    return None if checker.has_content else "it says nothing"
