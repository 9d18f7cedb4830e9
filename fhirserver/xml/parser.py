"""Expat, hardened: UTF-8 only, no document type, so no entities and nothing external.

All XML that comes from outside is read through `parser`. Expat reports where it is, byte by
byte, so that every refusal names its line and column.
"""

from __future__ import annotations

from typing import Final, NoReturn
from xml.parsers import expat

from fhirserver.errors import Invalid

FHIR: Final = "http://hl7.org/fhir"
XHTML: Final = "http://www.w3.org/1999/xhtml"
XML: Final = "http://www.w3.org/XML/1998/namespace"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"

SEPARATOR: Final = "|"
"""Between the namespace and the local part of a name; expat allows it in neither."""

MAX_DEPTH: Final = 200
"""Levels of nesting, as in JSON."""

WHITE_SPACE: Final = " \t\r\n"

_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")
_ENCODINGS = frozenset({"utf-8", "us-ascii"})


def parser() -> expat.XMLParserType:
    """A parser whose names are `namespace|local`, to be run by `run`."""
    made = expat.ParserCreate("UTF-8", SEPARATOR)
    made.buffer_text = True

    def declaration(version: str, encoding: str | None, standalone: int) -> None:
        if version != "1.0":
            raise refusal(made, f"XML {version} is not read: send version 1.0.")
        if encoding is not None and encoding.lower() not in _ENCODINGS:
            raise refusal(made, "The encoding of FHIR is UTF-8: send the body in UTF-8.")

    def document_type(*_: object) -> NoReturn:
        raise refusal(made, "A document type (DOCTYPE) is not allowed: leave it out.")

    made.XmlDeclHandler = declaration
    made.StartDoctypeDeclHandler = document_type
    return made


def run(made: expat.XMLParserType, data: bytes | str) -> None:
    """Parses the whole document. Raises `Invalid` where it is not well-formed."""
    if isinstance(data, bytes) and (data[:2] in _BYTE_ORDER_MARKS or 0 in data[:4]):
        raise Invalid("The encoding of FHIR is UTF-8: send the body in UTF-8.")
    try:
        made.Parse(data, True)
    except expat.ExpatError as error:
        what = expat.ErrorString(error.code)
        place = _place(error.lineno, error.offset)
        raise Invalid(f"{place}: this is not well-formed XML: {what}.") from None


class _Root(Exception):
    """Ends the parsing when the name of the root is known."""


def root_name(data: bytes) -> str | None:
    """The name of a document's root; None for what is no XML in UTF-8."""
    made = parser()

    def start(name: str, attributes: dict[str, str]) -> NoReturn:
        raise _Root(name)

    made.StartElementHandler = start
    try:
        run(made, data)
    except _Root as root:
        return str(root)
    except Invalid:
        return None
    raise AssertionError("a document has a root")


def refusal(made: expat.XMLParserType, text: str, expression: str | None = None) -> Invalid:
    """The refusal of what the parser is at."""
    place = _place(made.CurrentLineNumber, made.CurrentColumnNumber)
    return Invalid(f"{place}: {text}", expression=expression)


def local_name(name: str) -> str:
    """The local part of a name, cut where it is longer than any of FHIR's."""
    return name.rpartition(SEPARATOR)[2][:64]


def _place(line: int, column: int) -> str:
    return f"Line {line}, column {column + 1}"
