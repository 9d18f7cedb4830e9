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


class _Checker:
    def __init__(self) -> None:
        self.depth = 0
        self.has_content = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(_SEPARATOR)
        if self.depth == 0 and local != "div":
            raise _Broken(f"it begins with a div, not with '{local}'")
        if namespace != _XHTML:
            raise _Broken(f"'{local}' is in the namespace '{namespace}', not in that of XHTML")
        if local not in ELEMENTS:
            raise _Broken(f"the element '{local}' is not allowed")
        allowed = ATTRIBUTES.get(local, frozenset())
        for attribute, value in attributes.items():
            plain = attribute.rpartition(_SEPARATOR)[2]
            if plain not in allowed and plain not in _EVERYWHERE:
                raise _Broken(f"the attribute '{plain}' is not allowed on '{local}'")
            if plain in ("href", "src") and value.strip().lower().startswith(_UNSAFE_URLS):
                raise _Broken(f"the address in '{plain}' is not safe")
        self.depth += 1
        self.has_content = self.has_content or (local == "img" and "src" in attributes)

    def end(self, name: str) -> None:
        self.depth -= 1

    def text(self, data: str) -> None:
        self.has_content = self.has_content or not data.isspace()

    def refuse(self, *_: object) -> None:
        raise _Broken("it has a document type or a processing instruction")


def is_narrative(xhtml: str) -> bool:
    """Whether a `div` keeps the rules for narratives and says something."""
    return breach(xhtml) is None


def breach(xhtml: str) -> str | None:
    """The rule that a narrative breaks, in words; None if it keeps them all."""
    checker = _Checker()
    parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
    parser.StartElementHandler = checker.start
    parser.EndElementHandler = checker.end
    parser.CharacterDataHandler = checker.text
    parser.StartDoctypeDeclHandler = checker.refuse
    parser.ProcessingInstructionHandler = checker.refuse
    try:
        parser.Parse(xhtml, True)
    except _Broken as broken:
        return str(broken)
    except expat.ExpatError as error:
        return f"it is not XML: {error}"
    except ValueError:
        return "it holds characters that are not text"
    return None if checker.has_content else "it says nothing"
