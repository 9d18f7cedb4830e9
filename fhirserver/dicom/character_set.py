"""Text of a data set, by its Specific Character Set (0008,0005): PS3.3 C.12.1.1.2, PS3.5 6.1.

Reading never fails: what a sender declares is wrong often enough. Bytes that the declared set
has no characters for become U+FFFD; the data set itself is kept as it came.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

_ESCAPE: Final = b"\x1b"
_PARTS: Final = re.compile(rb"^[^\x1b]+|\x1b[^\x1b]*")
_MISSPELT: Final = re.compile(r"ISO[ _-]?(2022[ _-])?IR[ _-]?(\d+)")

# Number of the ISO register -> the codec; the sets with and without code extensions share it.
_BY_NUMBER: Final = {
    "6": "ascii",
    "13": "shift_jis",
    "58": "gb2312",
    "87": "iso2022_jp",
    "100": "latin_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "126": "iso8859_7",
    "127": "iso8859_6",
    "138": "iso8859_8",
    "144": "iso8859_5",
    "148": "iso8859_9",
    "149": "euc_kr",
    "159": "iso2022_jp_2",
    "166": "tis_620",
    "192": "utf_8",
    "203": "iso8859_15",
}
_BY_NAME: Final = {"": "ascii", "GB18030": "gb18030", "GBK": "gbk", "ISO 2022 GBK": "gbk"}

# Escape sequences of tables C.12-3 and C.12-4.
_BY_ESCAPE: Final = {
    b"\x1b(B": "ascii",
    b"\x1b-A": "latin_1",
    b"\x1b)I": "shift_jis",
    b"\x1b(J": "shift_jis",
    b"\x1b$B": "iso2022_jp",
    b"\x1b-B": "iso8859_2",
    b"\x1b-C": "iso8859_3",
    b"\x1b-D": "iso8859_4",
    b"\x1b-F": "iso8859_7",
    b"\x1b-G": "iso8859_6",
    b"\x1b-H": "iso8859_8",
    b"\x1b-L": "iso8859_5",
    b"\x1b-M": "iso8859_9",
    b"\x1b-b": "iso8859_15",
    b"\x1b-T": "tis_620",
    b"\x1b$)C": "euc_kr",
    b"\x1b$(D": "iso2022_jp_2",
    b"\x1b$)A": "gb2312",
}
# Python reads the escape sequences of these itself.
_ESCAPED: Final = ("iso2022_jp", "iso2022_jp_2")


class CharacterSet:
    """One declared in (0008,0005), or in an item of a sequence."""

    __slots__ = ("codec",)

    def __init__(self, codec: str) -> None:
        self.codec = codec

    def text(self, value: bytes, delimiters: bytes) -> str:
        """The characters. `delimiters` end a code extension, as PS3.5 6.1.2.5.3 says."""
        if value.isascii() and _ESCAPE not in value and self.codec != "shift_jis":
            return value.decode("ascii")
        if _ESCAPE not in value:
            return self._plain(value)
        return "".join(self._part(part, delimiters) for part in _PARTS.findall(value))

    def _plain(self, value: bytes) -> str:
        if self.codec != "ascii":
            return value.decode(self.codec, "replace")
        # Nothing was declared, or ISO_IR 6, and yet these are no characters of it.
        try:
            return value.decode("utf_8")
        except UnicodeDecodeError:
            return value.decode("latin_1")

    def _part(self, part: bytes, delimiters: bytes) -> str:
        if not part.startswith(_ESCAPE):
            return self._plain(part)
        size = 4 if part[1:3] in (b"$(", b"$)") else 3
        codec = _BY_ESCAPE.get(part[:size])
        if codec is None:
            return self._plain(part[1:])
        if codec in _ESCAPED:
            return part.decode(codec, "replace")
        part = part[size:]
        end = next((at for at, byte in enumerate(part) if byte in delimiters), len(part))
        return part[:end].decode(codec, "replace") + self._plain(part[end:])


@lru_cache(maxsize=256)
def character_set(declared: tuple[str, ...]) -> CharacterSet:
    """Of the values of (0008,0005). An unknown one is read as if none had been declared."""
    return CharacterSet(_codec(declared[0] if declared else ""))


def declared_in(value: bytes) -> tuple[str, ...]:
    """The values of an element (0008,0005)."""
    return tuple(part.strip(" \0") for part in value.decode("latin_1").split("\\"))


def _codec(name: str) -> str:
    known = _BY_NAME.get(name)
    if known is not None:
        return known
    found = _MISSPELT.fullmatch(name.upper())
    return _BY_NUMBER.get(found[2], "ascii") if found else "ascii"


def split(text: str) -> Sequence[str]:
    """The values of a text of several."""
    return text.split("\\") if "\\" in text else (text,)
