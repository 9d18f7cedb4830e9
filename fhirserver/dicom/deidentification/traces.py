"""What in a data set names its patient and those who were there, wherever else it is written.

Free text repeats names and numbers in attributes that no table expects. After the profile was
applied, every text that still holds one of these is taken away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from pydicom.multival import MultiValue

_NAMED: Final = frozenset({"PN"})
_NUMBERED: Final = frozenset(
    {
        0x00080050,  # Accession Number
        0x00100020,  # Patient ID
        0x00100030,  # Patient's Birth Date
        0x00101000,  # Other Patient IDs
        0x00101090,  # Medical Record Locator
        0x00102154,  # Patient's Telephone Numbers
        0x00380010,  # Admission ID
        0x00402016,  # Placer Order Number
        0x00402017,  # Filler Order Number
    }
)
_WORD: Final = re.compile(r"[^\W_]+")
_SHORTEST: Final = 3
_LONG: Final = 5


class Traces:
    """The names (word by word) and numbers of a data set, gathered before it is changed."""

    def __init__(self, data_set: Any) -> None:
        self._words: set[str] = set()
        self._numbers: set[str] = set()
        for element in _elements(data_set):
            if element.VR in _NAMED:
                for text in texts(element.value):
                    self._words |= {word for word in _words(text) if len(word) >= _SHORTEST}
            elif int(element.tag) in _NUMBERED:
                self._numbers |= {
                    text.strip().casefold()
                    for text in texts(element.value)
                    if len(text.strip()) >= _SHORTEST
                }

    def are_in(self, text: str) -> bool:
        """Whether a text holds any of them: short names as words, all else within words too."""
        folded = text.casefold()
        within = (*self._numbers, *(word for word in self._words if len(word) >= _LONG))
        return not self._words.isdisjoint(_words(text)) or any(part in folded for part in within)


def texts(value: Any) -> list[str]:
    """The values of an element as text."""
    if value is None or isinstance(value, bytes):
        return []
    several = isinstance(value, list | tuple | MultiValue)
    return [str(item) for item in value] if several else [str(value)]


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))


def _elements(data_set: Any) -> Iterator[Any]:
    for element in data_set:
        yield element
        if element.VR == "SQ":
            for item in element.value or ():
                yield from _elements(item)
