"""Text as XML writes it.

https://www.w3.org/TR/xml/#charsets: control characters and U+FFFE, U+FFFF cannot be written in
XML at all, however escaped; U+FFFD stands in their place.
"""

from __future__ import annotations

import re
from typing import Final

_CONTENT: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
_VALUE: Final = _CONTENT | {'"': "&quot;", "\t": "&#9;", "\n": "&#10;"}
_NO_CHARACTER: Final = "\ufffd"

_IN_CONTENT = re.compile("[&<>\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]")
_IN_VALUE = re.compile('[&<>"\x00-\x1f\ud800-\udfff\ufffe\uffff]')


def content(text: str) -> str:
    """Text between tags."""
    return _IN_CONTENT.sub(_content, text)


def value(text: str) -> str:
    """The value of an attribute, to stand between double quotes."""
    return _IN_VALUE.sub(_value, text)


def _content(found: re.Match[str]) -> str:
    return _CONTENT.get(found[0], _NO_CHARACTER)


def _value(found: re.Match[str]) -> str:
    return _VALUE.get(found[0], _NO_CHARACTER)
