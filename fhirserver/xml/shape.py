"""What may stand in each XML element, from the definitions.

https://hl7.org/fhir/R4/xml.html: a property of JSON is a child element of the same name, in
the order of the definitions, save that the id of an element and the URL of an extension are
attributes. (The id of a resource is an element.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from fhirserver.definitions.element import Child
from fhirserver.definitions.registry import Definitions
from fhirserver.errors import Invalid
from fhirserver.model.json import Json, decode
from fhirserver.xml.parser import FHIR, SEPARATOR, XHTML

Kind: TypeAlias = Literal["primitive", "complex", "holder", "resource", "narrative"]
"""A `holder` (`contained`, `Bundle.entry.resource`) holds one `resource`."""

RESOURCE: Final = "resource"
"""The property that a resource is kept in while its holder is read."""

_INTEGERS = frozenset({"integer", "positiveInt", "unsignedInt"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,4000}", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Member:
    """One child element: `name` is its JSON property, `path` where its own are defined.

    Of a primitive, `extra` is the property of its id and extensions, and `convert` makes the
    JSON value of its text; None: the text itself is that.
    """

    name: str
    order: int
    kind: Kind
    repeats: bool
    path: str
    extra: str
    convert: Callable[[str], Json] | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """What an element may hold: `members` by XML name and `properties` by JSON name."""

    path: str
    members: Mapping[str, Member]
    properties: Mapping[str, Member]
    attributes: tuple[str, ...]


class Shapes(dict[str, Shape]):
    """The shapes by path, each made when it is first asked for."""

    def __init__(self, definitions: Definitions) -> None:
        super().__init__()
        self._definitions = definitions
        self.resources: Final = Shape(
            "",
            MappingProxyType(
                {
                    f"{FHIR}{SEPARATOR}{type}": Member(RESOURCE, 0, "resource", False, type, "")
                    for type in definitions.resource_types
                }
            ),
            MappingProxyType({}),
            (),
        )

    def __missing__(self, path: str) -> Shape:
        made = self._made(path)
        if made.properties:  # not kept otherwise: anyone may ask for any path
            self[path] = made
        return made

    def _made(self, path: str) -> Shape:
        children = self._definitions.children(path)
        header = self._definitions.types.get(path)
        attributes: tuple[str, ...] = ("id",)
        if not children or (header is not None and header.kind == "resource"):
            attributes = ()
        elif path == "Extension":
            attributes = ("id", "url")
        properties = {
            name: self._member(name, order, child)
            for order, (name, child) in enumerate(children.items())
            if name not in attributes
        }
        members = {
            f"{XHTML if item.kind == 'narrative' else FHIR}{SEPARATOR}{item.name}": item
            for item in properties.values()
        }
        return Shape(path, members, properties, attributes)

    def _member(self, name: str, order: int, child: Child) -> Member:
        return Member(
            name,
            order,
            self._kind(child.type),
            child.element.max != 1,
            child.path,
            f"_{name}",
            _CONVERTERS.get(child.type),
        )

    def _kind(self, type: str) -> Kind:
        if type == "Resource":
            return "holder"
        if type == "xhtml":
            return "narrative"
        header = self._definitions.types.get(type)
        if header is not None and header.kind == "primitive-type":
            return "primitive"
        return "complex"


@lru_cache(maxsize=8)
def shapes_of(definitions: Definitions) -> Shapes:
    """The shapes of a registry of definitions."""
    return Shapes(definitions)


# What is no number or boolean stays text: validation then says so, as it does of JSON.


def _integer(text: str) -> Json:
    return int(text) if _INTEGER.fullmatch(text) else text


def _decimal(text: str) -> Json:
    if not _DECIMAL.fullmatch(text):
        return text
    try:
        return decode(f"[{text}]".encode())[0]
    except Invalid:  # too many digits
        return text


def _boolean(text: str) -> Json:
    return _BOOLEANS.get(text, text)


_CONVERTERS: Final[Mapping[str, Callable[[str], Json]]] = {
    "boolean": _boolean,
    "decimal": _decimal,
    **dict.fromkeys(_INTEGERS, _integer),
}
