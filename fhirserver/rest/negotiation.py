"""Which format an answer has, and which one a body is in.

https://hl7.org/fhir/R4/http.html#mime-type and #version-parameter. JSON or XML is answered in
the media type that was asked for, JSON where either will do; `_format` goes before Accept; all
text is UTF-8; `fhirVersion` other than 4.0 is not served.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from fhirserver.errors import FhirError, NotAcceptable, UnsupportedMediaType
from fhirserver.rest.media_type import MediaType, Range, media_type, ranges

FHIR_JSON: Final = "application/fhir+json"
FHIR_XML: Final = "application/fhir+xml"
JSON_PATCH: Final = "application/json-patch+json"
XML_PATCH: Final = "application/xml-patch+xml"
FORM: Final = "application/x-www-form-urlencoded"
USUAL_TYPE: Final = b"application/fhir+json; charset=utf-8"
"""The Content-Type of most answers: of those to whoever does not ask for another."""

JSON_TYPES: Final = (
    FHIR_JSON,
    "application/json",
    "text/json",
    "application/json+fhir",  # of FHIR before STU3
)
"""What FHIR JSON may be called, the best name first."""

XML_TYPES: Final = (
    FHIR_XML,
    "application/xml",
    "text/xml",
    "application/xml+fhir",  # of FHIR before STU3
)
"""What FHIR XML may be called, the best name first."""

FORMATS: Final = {
    "json": FHIR_JSON,
    "text/json": "text/json",
    "application/json": "application/json",
    "application/fhir+json": FHIR_JSON,
    "application/fhir json": FHIR_JSON,  # a plus that was not encoded
    "application/json+fhir": FHIR_JSON,
    "application/json fhir": FHIR_JSON,
    "xml": FHIR_XML,
    "text/xml": "text/xml",
    "application/xml": "application/xml",
    "application/fhir+xml": FHIR_XML,
    "application/fhir xml": FHIR_XML,
    "application/xml+fhir": FHIR_XML,
    "application/xml fhir": FHIR_XML,
}
"""The values of `_format`, with what is answered."""

_VERSIONS = frozenset({"4.0", "4.0.1"})
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii"})
_OFFER = f"This server speaks {FHIR_JSON} and {FHIR_XML} in UTF-8, fhirVersion 4.0."

_ALL_TYPES = (*JSON_TYPES, *XML_TYPES)
# A browser takes XML in general because it can show it; it does not mean FHIR by that.
_BROWSER_TYPES = (*JSON_TYPES, FHIR_XML)


@lru_cache(maxsize=256)
def answered_type(accept: bytes | None, format: str | None) -> bytes:
    """The Content-Type to answer with. Raises `NotAcceptable` where there is none."""
    if format is not None:
        return _by_format(format)
    accepted = None if accept is None else list(ranges(accept.decode("latin-1")))
    if not accepted:
        return _content_type(FHIR_JSON)
    best, best_weight, version = FHIR_JSON, 0.0, None
    is_browser = any(found.media_type.essence == "text/html" for found in accepted)
    for offered in _BROWSER_TYPES if is_browser else _ALL_TYPES:
        weight, chosen = _weight(offered, accepted)
        if weight > best_weight:
            best, best_weight, version = offered, weight, chosen
    if not best_weight:
        raise NotAcceptable(f"{_OFFER} Ask for one of them in Accept or _format.")
    return _content_type(best, version)


def refusal_type(accept: bytes | None, format: str | None) -> bytes:
    """The Content-Type of a refusal: as `answered_type`, and FHIR JSON where that has none."""
    for wanted in (format, None):
        try:
            found = answered_type(accept, wanted)
        except FhirError:
            continue
        return found if is_xml(found) else USUAL_TYPE
    return USUAL_TYPE


def is_xml(content_type: bytes) -> bool:
    """Whether a Content-Type to answer with is one of XML."""
    return b"xml" in content_type


@lru_cache(maxsize=256)
def asks_for_fhir(accept: bytes | None) -> bool:
    """Whether an Accept header names a FHIR media type, as Binary wants to know.

    https://hl7.org/fhir/R4/binary.html#rest
    """
    if accept is None:
        return False
    return any(
        found.weight and "fhir" in found.media_type.essence
        for found in ranges(accept.decode("latin-1"))
    )


@lru_cache(maxsize=256)
def accepts(accept: bytes | None, content_type: str) -> bool:
    """Whether an Accept header takes a media type, whatever its parameters."""
    offered = media_type(content_type)
    accepted = None if accept is None else list(ranges(accept.decode("latin-1")))
    if not accepted or offered is None:
        return True
    best = (-1, 0.0)
    for found in accepted:
        match = _specificity(found.media_type.essence, offered.essence)
        if match >= 0:
            best = max(best, (match, found.weight))
    return best[1] > 0


@lru_cache(maxsize=256)
def body_type(content_type: bytes | None) -> MediaType:
    """The media type of a request's body.

    Raises `UnsupportedMediaType` for none, for a charset other than UTF-8 and for another
    version of FHIR.
    """
    found = media_type_of(content_type)
    if found is None:
        raise UnsupportedMediaType(f"Say what the body is: Content-Type: {FHIR_JSON}.")
    if not _is_ours(found):
        raise UnsupportedMediaType(f"{_OFFER} Send the body so.")
    return found


def media_type_of(content_type: bytes | None) -> MediaType | None:
    """The parts of a Content-Type header; None where it is absent or malformed."""
    return None if content_type is None else media_type(content_type.decode("latin-1"))


def unsupported(essence: str, *taken: str) -> UnsupportedMediaType:
    """The refusal of a body whose media type is not one of `taken`."""
    return UnsupportedMediaType(
        f"A body of {essence} is not taken here: send {' or '.join(taken)}."
    )


def _by_format(format: str) -> bytes:
    found = media_type(format)
    if found is not None and _is_ours(found):
        format = found.essence
    name = FORMATS.get(format.strip().lower())
    if name is None:
        raise NotAcceptable(f"{_OFFER} Ask for one with _format=json or _format=xml.")
    return _content_type(name)


def _content_type(name: str, version: str | None = None) -> bytes:
    if version is None:
        if name == FHIR_JSON:
            return USUAL_TYPE
        return f"{name}; charset=utf-8".encode()
    return f"{name}; fhirVersion={version}; charset=utf-8".encode()


def _is_ours(found: MediaType) -> bool:
    charset = found.parameters.get("charset", "utf-8").lower()
    version = found.parameters.get("fhirversion", "4.0")
    return charset in _CHARSETS and version in _VERSIONS


def _weight(offered: str, accepted: list[Range]) -> tuple[float, str | None]:
    """The weight of the most specific range that takes it, and the fhirVersion it names."""
    best: tuple[int, float] = (-1, 0.0)
    version = None
    for found in accepted:
        match = _specificity(found.media_type.essence, offered)
        if match >= 0 and (match, found.weight) > best and _is_ours(found.media_type):
            best = (match, found.weight)
            version = found.media_type.parameters.get("fhirversion")
    return best[1], version


def _specificity(range: str, offered: str) -> int:
    if range == offered:
        return 2
    if range == "*/*":
        return 0
    return 1 if range.endswith("/*") and offered.startswith(range[:-1]) else -1
