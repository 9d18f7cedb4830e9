"""Query strings, form bodies and paths as text: percent-encoded UTF-8, read strictly.

RFC 3986, 2.1, and https://url.spec.whatwg.org/#application/x-www-form-urlencoded.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from fhirserver.errors import Invalid
from fhirserver.interactions.request import Pairs

_BROKEN = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_MAX_PAIRS = 5000


def query_pairs(query: bytes) -> Pairs:
    """The decoded pairs of a query string or form, in order.

    A name without `=` has the value ''. Raises `Invalid` for what is not UTF-8 in percent
    encoding, and for more pairs than any request needs.
    """
    if not query:
        return ()
    parts = [part.partition(b"=") for part in query.split(b"&") if part]
    if len(parts) > _MAX_PAIRS:
        raise Invalid(f"More than {_MAX_PAIRS} parameters: ask for less at once.")
    return tuple((_text(name, "query"), _text(value, "query")) for name, _, value in parts)


def path_text(raw_path: bytes) -> str:
    """A path as text, each segment decoded on its own.

    Raises `Invalid` for what is not UTF-8 in percent encoding, and for a slash or a control
    character in a segment.
    """
    if b"%" not in raw_path and raw_path.isascii():
        return raw_path.decode("ascii")
    segments = [_text(segment.replace(b"+", b"%2B"), "path") for segment in raw_path.split(b"/")]
    if any("/" in segment or not segment.isprintable() for segment in segments):
        raise Invalid("The path has an encoded character that no FHIR address contains.")
    return "/".join(segments)


def _text(data: bytes, place: str) -> str:
    if b"+" in data:
        data = data.replace(b"+", b" ")
    if b"%" in data:
        if _BROKEN.search(data):
            raise Invalid(f"The {place} has a '%' without two hexadecimal digits: write %25.")
        data = unquote_to_bytes(data)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Invalid(f"The {place} is not UTF-8 in percent encoding.") from None
