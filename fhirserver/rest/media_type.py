"""Media types and the ranges of an Accept header (RFC 9110, 8.3.1 and 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from fhirserver.errors import Invalid

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a word of the grammar, not a secret
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ESSENCE = re.compile(rf"[ \t]*({_TOKEN}/{_TOKEN})[ \t]*", re.ASCII)
_PARAMETER = re.compile(rf";[ \t]*(?:({_TOKEN})=({_TOKEN}|{_QUOTED}))?[ \t]*", re.ASCII)
_ELEMENT = re.compile(rf"(?:[^,\"]|{_QUOTED})+", re.ASCII)
_MAX_ACCEPT = 2048  # an unclosed quote costs the square of the length
_WEIGHT = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII)


class MediaType(NamedTuple):
    """`essence` is `type/subtype` and the names of `parameters` are in lower case."""

    essence: str
    parameters: Mapping[str, str]


class Range(NamedTuple):
    """One element of an Accept header with its weight, from 0 (not acceptable) to 1."""

    media_type: MediaType
    weight: float


def media_type(text: str) -> MediaType | None:
    """The parts of a media type; None for text that is none."""
    found = _ESSENCE.match(text)
    if not found:
        return None
    parameters: dict[str, str] = {}
    position = found.end()
    while position < len(text):
        parameter = _PARAMETER.match(text, position)
        if not parameter:
            return None
        if parameter[1]:
            parameters.setdefault(parameter[1].lower(), _unquoted(parameter[2]))
        position = parameter.end()
    return MediaType(found[1].lower(), parameters)


def ranges(accept: str) -> Iterator[Range]:
    """The ranges of an Accept header, in order; elements that are none are left out.

    Raises `Invalid` for a header that is longer than any client needs.
    """
    if len(accept) > _MAX_ACCEPT:
        raise Invalid(f"The Accept header is longer than {_MAX_ACCEPT} bytes: name fewer types.")
    for element in _ELEMENT.findall(accept):
        found = media_type(element)
        if found:
            weight = found.parameters.get("q", "1")
            if _WEIGHT.fullmatch(weight):
                yield Range(found, float(weight))


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
