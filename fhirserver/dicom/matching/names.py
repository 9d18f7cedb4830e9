"""Names without case and accents, and their words (PS3.5 6.2.1; PS3.4 C.2.2.2.1.1)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_LETTERS: Final = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l", "ŧ": "t", "þ": "th"}
    | {"æ": "ae", "œ": "oe"}
)
_BREAKS: Final = re.compile(r"[\s^=,.;\-‐‑–・·*?]+")
_WITHIN: Final = str.maketrans(dict.fromkeys("'’ʼ`´"))
MAX_WORDS: Final = 24
"""How many words of a name can be found by."""


@lru_cache(8192)
def fold(text: str) -> str:
    """The text without case, accents, and blanks around components; `^ = * ?` stay."""
    flat = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    bare = "".join(c for c in flat if not unicodedata.combining(c)).translate(_LETTERS)
    composed = unicodedata.normalize("NFC", bare)  # syllables of Hangul
    return "^".join(" ".join(part.split()) for part in composed.split("^"))


def folded_group(text: str) -> str:
    """A component group to be compared: folded, without empty components at its end."""
    return fold(text).rstrip("^ ")


def words_of(texts: Iterable[str]) -> list[str]:
    """The words of component groups, each once, in order."""
    found: dict[str, None] = {}
    for text in texts:
        for word in _BREAKS.split(fold(text).translate(_WITHIN)):
            if word:
                found[word] = None
    return list(found)[:MAX_WORDS]
