"""A resource in its XML form.

https://hl7.org/fhir/R4/xml.html: elements in the order of the definitions. Whatever the server
may have stored can be written: what the definitions do not know follows, in the form that it
would have, and characters that XML does not have become U+FFFD.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from operator import attrgetter
from typing import Final

from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import Json, Resource, SpelledDecimal
from fhirserver.xml.escape import value as escaped
from fhirserver.xml.narrative import embedded
from fhirserver.xml.parser import FHIR
from fhirserver.xml.shape import Member, Shape, shapes_of

_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>'
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_TYPE: Final = "resourceType"
_UNKNOWN: Final = Shape("", {}, {}, ())
_order = attrgetter("order")


def to_xml(resource: Resource, definitions: Definitions, *, indent: bool = False) -> bytes:
    """The document of a resource in UTF-8; with `indent`, one line for each element."""
    writer = _Writer(definitions)
    writer.resource(resource, "\n" if indent else "", f' xmlns="{FHIR}"')
    return "".join((_HEAD, *writer.out)).encode()


class _Writer:
    """`pad` is what comes before a tag: a line break and spaces, or nothing."""

    def __init__(self, definitions: Definitions) -> None:
        self.out: list[str] = []
        self._shapes = shapes_of(definitions)

    def resource(self, resource: Resource, pad: str, attributes: str = "") -> None:
        type = resource.get(_TYPE)
        if isinstance(type, str) and _NAME.fullmatch(type):
            self._element(type, resource, self._shapes[type], pad, attributes)

    def _element(
        self, name: str, content: Resource, shape: Shape, pad: str, attributes: str = ""
    ) -> None:
        """One element with what it holds; `attributes` are those that `content` does not tell."""
        tag = f"{pad}<{name}"
        for attribute in shape.attributes:
            value = content.get(attribute)
            if value is not None:
                tag += f' {attribute}="{_text(value)}"'
        members, others = _parts(content, shape)
        if not members and not others:
            self.out.append(f"{tag}{attributes}/>")
            return
        self.out.append(f"{tag}{attributes}>")
        inner = pad and f"{pad}  "
        for member in members:
            self._member(member, content, inner)
        for other in others:
            self._unknown(other, content[other], inner)
        self.out.append(f"{pad}</{name}>")

    def _member(self, member: Member, content: Resource, pad: str) -> None:
        name, value = member.name, content.get(member.name)
        if member.kind == "primitive":
            extra = content.get(member.extra)
            if extra is not None or type(value) is list:
                for one, its in zip_longest(_items(value), _items(extra)):
                    self._primitive(name, one, its, pad)
            elif type(value) is str:
                self.out.append(f'{pad}<{name} value="{escaped(value)}"/>')
            else:
                self._primitive(name, value, None, pad)
            return
        for item in _items(value):
            if member.kind == "narrative" and isinstance(item, str):
                self.out.append(f"{pad}{embedded(item)}")
            elif member.kind == "complex" and isinstance(item, dict):
                self._element(name, item, self._shapes[member.path], pad)
            else:
                self._unknown(name, item, pad)

    def _primitive(self, name: str, value: Json, extra: Json, pad: str) -> None:
        if isinstance(value, dict | list):
            self._unknown(name, value, pad)
            return
        attributes = "" if value is None else f' value="{_text(value)}"'
        if isinstance(extra, dict):
            self._element(name, extra, self._shapes["Element"], pad, attributes)
        elif attributes:
            self.out.append(f"{pad}<{name}{attributes}/>")

    def _unknown(self, name: str, value: Json, pad: str) -> None:
        """An element of which only the JSON is known; a resource stands in one that holds it."""
        if not _NAME.fullmatch(name):
            return
        for item in _items(value):
            if not isinstance(item, dict):
                self._primitive(name, item, None, pad)
            elif _TYPE in item:
                self.out.append(f"{pad}<{name}>")
                self.resource(item, pad and f"{pad}  ")
                self.out.append(f"{pad}</{name}>")
            else:
                self._element(name, item, _UNKNOWN, pad)


def _parts(content: Resource, shape: Shape) -> tuple[list[Member], list[str]]:
    """The members that an object has, in order, and the other properties."""
    members: list[Member] = []
    others: list[str] = []
    for name in content:
        member = shape.properties.get(name)
        if member is not None:
            members.append(member)
        elif name != _TYPE and name not in shape.attributes:
            bare = shape.properties.get(name[1:]) if name[:1] == "_" else None
            if bare is None or bare.kind != "primitive":
                others.append(name)
            elif bare.name not in content:
                members.append(bare)
    if len(members) > 1:
        members.sort(key=_order)
    return members, others


def _items(value: Json) -> Sequence[Json]:
    """What repeats, one by one; flat, for XML has no lists of lists."""
    if not isinstance(value, list):
        return (value,)
    if any(isinstance(item, list) for item in value):
        return [inner for item in value for inner in _items(item)]
    return value


def _text(value: Json) -> str:
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, SpelledDecimal):
        return value.spelling
    return escaped(str(value))
