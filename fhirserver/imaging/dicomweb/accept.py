"""What a client takes, in the words of DICOMweb (PS3.18, 8.7.5 and 8.7.6; RFC 9110, 12.5.1).

Viewers send lists whose types are not quoted although they should be, such as
`multipart/related; type=image/jls; transfer-syntax=*, application/dicom; q=0.5`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from fhirserver.errors import Invalid, NotAcceptable

MULTIPART: Final = "multipart/related"
DICOM: Final = "application/dicom"
DICOM_JSON: Final = "application/dicom+json"
DICOM_XML: Final = "application/dicom+xml"
ZIP: Final = "application/zip"
OCTETS: Final = "application/octet-stream"
ANY: Final = "*/*"
AS_STORED: Final = "*"
"""The transfer syntax of those who take any."""

_MAX_LENGTH: Final = 8 * 1024
# Nothing is gone back over: what was taken stays so, and a quotation without end goes to the end.
_ELEMENT = re.compile(r'(?:[^,"]++|"(?:[^"\\]|\\.?)*+(?:"|$))++')
_FIELD = re.compile(r'[ \t]*+([^;="]*+)(?:=[ \t]*+("(?:[^"\\]|\\.)*+"|[^;"]*+))?+[ \t]*+(?:;|$)')
_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")
_SYNTAX = re.compile(r"\*|[0-9.]{1,64}")
_WEIGHT = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?", re.ASCII)


class Wanted(NamedTuple):
    """One range of an Accept header.

    `type` is that of the content, in parts too; it may be `*/*` or `image/*`. `in_parts` tells
    whether it is to come as multipart/related, None: either will do. `transfer_syntax` is a UID,
    `*` for any, or None for that which is usual for the type.
    """

    type: str
    in_parts: bool | None
    transfer_syntax: str | None = None
    weight: float = 1.0

    def takes(self, type: str) -> bool:
        """Whether content of the media type is in the range."""
        return self.type in (ANY, type) or (
            self.type.endswith("/*") and type.startswith(self.type[:-1])
        )


_WHATEVER: Final = (Wanted(ANY, None),)


class ContentType(NamedTuple):
    """`type` and the names of `parameters` are in lower case."""

    type: str
    parameters: Mapping[str, str]


@lru_cache(maxsize=256)
def wanted(accept: bytes | None) -> Sequence[Wanted]:
    """The ranges of a header, the weightiest first and else in their order; never empty.

    What is no media type is left out. Raises `Invalid` for a header that is too long, and
    `NotAcceptable` where nothing is left.
    """
    if accept is None or not accept.strip():
        return _WHATEVER
    if len(accept) > _MAX_LENGTH:
        raise Invalid(f"The Accept header is longer than {_MAX_LENGTH} bytes: name fewer types.")
    found = []
    for element in _ELEMENT.findall(accept.decode("latin-1")):
        one = _range(element)
        if one is not None and one.weight > 0:
            found.append(one)
    if not found:
        raise NotAcceptable("The Accept header names nothing that could be sent.")
    return tuple(sorted(found, key=lambda one: -one.weight))


@lru_cache(maxsize=256)
def content_type(value: bytes | None) -> ContentType | None:
    """The parts of a Content-Type, quoted or not; None for what is none."""
    if value is None or len(value) > _MAX_LENGTH:
        return None
    return _media_type(value.decode("latin-1"))


def _range(element: str) -> Wanted | None:
    found = _media_type(element)
    if found is None:
        return None
    type, parameters = found
    weight = parameters.get("q", "1")
    syntax = parameters.get("transfer-syntax")
    if not _WEIGHT.fullmatch(weight) or (syntax is not None and not _SYNTAX.fullmatch(syntax)):
        return None
    if type == ANY:
        return Wanted(ANY, None, syntax, float(weight))
    if type not in (MULTIPART, "multipart/*"):
        return Wanted(type, False, syntax, float(weight))
    inner = parameters.get("type", ANY).lower()
    if not _TYPE.fullmatch(inner):
        return None
    return Wanted(inner, True, syntax, float(weight))


def _media_type(text: str) -> ContentType | None:
    type = ""
    parameters: dict[str, str] = {}
    position = 0
    while position < len(text):
        found = _FIELD.match(text, position)
        if not found or found.end() == position:
            return None
        name, value = found[1].strip().lower(), found[2]
        if not type:
            if value is not None or not _TYPE.fullmatch(name):
                return None
            type = name
        elif name and value is not None:
            parameters.setdefault(name, _plain(value.strip()))
        elif name:
            return None
        position = found.end()
    return ContentType(type, parameters) if type else None


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def in_xml(ranges: Sequence[Wanted]) -> tuple[bool, str]:
    """For metadata and search results: whether in XML (always in parts), and the media type.

    PS3.18, 8.7.3.2: DICOM JSON is the usual form. Raises `NotAcceptable`.
    """
    for one in ranges:
        if one.type == "application/json":
            return False, one.type
        if one.takes(DICOM_JSON):
            return False, DICOM_JSON
        if one.type == DICOM_XML:
            return True, DICOM_XML
    raise NotAcceptable(f"This is to be had as {DICOM_JSON} and as {MULTIPART} of {DICOM_XML}.")
