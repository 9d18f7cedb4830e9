"""Text as XML writes it.

https://www.w3.org/TR/xml/#charsets: control characters and U+FFFE, U+FFFF cannot be written in
XML at all, however escaped; U+FFFD stands in their place.
"""

from __future__ import annotations

import re
from typing import Final

_NOT_XML: Final = {
    code: "\ufffd"
    for code in (*range(0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF)
    if code not in (0x9, 0xA, 0xD)
}
_CONTENT = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("\r"): "&#13;"} | _NOT_XML
_VALUE = _CONTENT | {ord('"'): "&quot;", ord("\t"): "&#9;", ord("\n"): "&#10;"}

_IN_CONTENT = re.compile("[&<>\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
_IN_VALUE = re.compile('[&<>"\x00-\x1f\ud800-\udfff\ufffe\uffff]')


def content(text: str) -> str:
    """Text between tags."""
    return text.translate(_CONTENT) if _IN_CONTENT.search(text) else text


def value(text: str) -> str:
    """The value of an attribute, to stand between double quotes."""
    return text.translate(_VALUE) if _IN_VALUE.search(text) else text
