"""The query of a URL as pairs: percent-encoded UTF-8, read strictly.

RFC 3986, 2.1.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from fhirserver.errors import Invalid
from fhirserver.interactions.request import Pairs

_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_MAX_PAIRS = 5000


def query_pairs(query: str) -> Pairs:
    """The decoded pairs of a query in order; a name without `=` has the value ''.

    Raises `Invalid` for what is not UTF-8 in percent encoding, and for too many pairs.
    """
    if not query:
        return ()
    parts = [part.partition("=") for part in query.split("&") if part]
    if len(parts) > _MAX_PAIRS:
        raise Invalid(f"More than {_MAX_PAIRS} parameters: ask for less at once.")
    return tuple((decoded(name), decoded(value)) for name, _, value in parts)


def decoded(text: str) -> str:
    """One part of a query in plain text."""
    if _BROKEN.search(text):
        raise Invalid("The query has a '%' without two hexadecimal digits: write %25.")
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise Invalid("The query is not UTF-8 in percent encoding.") from None
