"""Query strings, form bodies and paths as text: percent-encoded UTF-8, read strictly.

RFC 3986, 2.1, and https://url.spec.whatwg.org/#application/x-www-form-urlencoded.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from fhirserver.errors import Invalid
from fhirserver.interactions import query as text_query
from fhirserver.interactions.request import Pairs

_BROKEN = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def query_pairs(query: bytes) -> Pairs:
    """The decoded pairs of a query string or form, in order.

    A name without `=` has the value ''. Raises `Invalid` for what is not UTF-8 in percent
    encoding, and for more pairs than any request needs.
    """
    return text_query.query_pairs(_utf8(query, "query")) if query else ()


def path_text(raw_path: bytes) -> str:
    """A path as text, each segment decoded on its own.

    Raises `Invalid` for what is not UTF-8 in percent encoding, and for a slash or a control
    character in a segment.
    """
    if b"%" not in raw_path and raw_path.isascii():
        return raw_path.decode("ascii")
    if _BROKEN.search(raw_path):
        raise Invalid("The path has a '%' without two hexadecimal digits: write %25.")
    segments = [_utf8(unquote_to_bytes(segment), "path") for segment in raw_path.split(b"/")]
    if any("/" in segment or not segment.isprintable() for segment in segments):
        raise Invalid("The path has an encoded character that no FHIR address contains.")
    return "/".join(segments)


def _utf8(data: bytes, place: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Invalid(f"The {place} is not UTF-8 in percent encoding.") from None
