"""Value sets without a list: their codes are told by a grammar.

MIME types (RFC 6838), language tags (BCP 47), UCUM units: https://hl7.org/fhir/R4/terminologies-systems.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from fhirserver.terminology import ucum

_MIME = re.compile(
    r"[A-Za-z0-9][\w!#$&^.+-]*/[A-Za-z0-9*][\w!#$&^.+-]*(\s*;\s*[\w!#$&^.+-]+=(\"[^\"]*\"|[^\s;\"]+))*",
    re.ASCII,
)
_FORMATS = frozenset({"xml", "json", "ttl", "html"})  # CapabilityStatement.format takes these too
_LANGUAGE = re.compile(
    r"(?:[A-Za-z]{2,3}(?:-[A-Za-z]{3}){0,3}|[A-Za-z]{4,8}|i-[A-Za-z]+)"
    r"(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*"
    r"(?:-[0-9A-WY-Za-wy-z](?:-[A-Za-z0-9]{2,8})+)*(?:-x(?:-[A-Za-z0-9]{1,8})+)?"
    r"|x(?:-[A-Za-z0-9]{1,8})+",
    re.ASCII,
)

_MIME_SYSTEM = "urn:ietf:bcp:13"
_LANGUAGE_SYSTEM = "urn:ietf:bcp:47"


def _is_mime(code: str) -> bool:
    return code in _FORMATS or _MIME.fullmatch(code) is not None


def _is_language(code: str) -> bool:
    return _LANGUAGE.fullmatch(code) is not None


GRAMMARS: Final[Mapping[str, tuple[str, Callable[[str], bool]]]] = {
    "http://hl7.org/fhir/ValueSet/mimetypes": (_MIME_SYSTEM, _is_mime),
    "http://www.rfc-editor.org/bcp/bcp13.txt": (_MIME_SYSTEM, _is_mime),
    "http://hl7.org/fhir/ValueSet/all-languages": (_LANGUAGE_SYSTEM, _is_language),
    "http://hl7.org/fhir/ValueSet/ucum-units": (ucum.UCUM, ucum.is_unit),
}
"""The system and the test of the codes of a value set."""
