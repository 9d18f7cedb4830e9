"""The escapes of search values: `\\,`, `\\|`, `\\$` and `\\\\`.

https://hl7.org/fhir/R4/search.html#escaping
"""

from __future__ import annotations

import re
from functools import cache

SEPARATORS = ",|$"
_ESCAPED = re.compile(r"\\([\\,|$])")
_SPECIAL = re.compile(r"[\\,|$]")


def split(text: str, separator: str) -> list[str]:
    """The parts between separators that are not escaped; the parts keep their escapes."""
    if separator not in text:
        return [text]
    if "\\" not in text:
        return text.split(separator)
    part = _part(separator)
    parts: list[str] = []
    start = 0
    while start <= len(text):
        found = part.match(text, start)
        assert found is not None
        parts.append(found.group())
        start = found.end() + 1
    return parts


def unescape(text: str) -> str:
    """The text that is meant; a backslash before anything else stands for itself."""
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def escape(text: str) -> str:
    """The text as it is written in a search value."""
    return _SPECIAL.sub(r"\\\g<0>", text)


@cache
def _part(separator: str) -> re.Pattern[str]:
    return re.compile(rf"(?:\\.|[^{re.escape(separator)}\\]|\\\Z)*", re.DOTALL)
