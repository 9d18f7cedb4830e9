"""Keys as C-FIND and QIDO-RS write them, read by the rules of their value representation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from fhirserver.dicom.matching.condition import (
    AnyOf,
    Condition,
    Exactly,
    Item,
    Key,
    Person,
    Range,
    Wildcard,
)
from fhirserver.dicom.matching.moments import split_range
from fhirserver.dicom.matching.names import words_of
from fhirserver.errors import Invalid

MOMENTS: Final = frozenset({"DA", "DT", "TM"})
_WILD: Final = frozenset({"AE", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT", "UN"})
_WHOLE: Final = frozenset({"LT", "ST", "UR", "UT"})
_UID: Final = re.compile(r"[0-9.]{1,64}", re.ASCII)
_MAX_VALUES: Final = 10_000


def key(tag: str, vr: str, text: str, *, fuzzy: bool = False) -> Key | None:
    """The key of an attribute (`00100010`) that a query gives as text; None: universal matching.

    Several values stand apart by backslashes, UIDs also by commas. Raises `Invalid` for a date,
    time or UID that is none, and for the text of a sequence.
    """
    condition = condition_of(vr, text, fuzzy=fuzzy)
    return None if condition is None else Key(tag.upper(), vr, condition)


def sequence_key(path: Sequence[tuple[str, str]], text: str, *, fuzzy: bool = False) -> Key | None:
    """The key of an attribute inside sequences: (tag, VR) from the outermost one on."""
    *outer, (tag, vr) = path
    found = key(tag, vr, text, fuzzy=fuzzy)
    for around, _ in reversed(outer):
        if found is not None:
            found = Key(around.upper(), "SQ", Item((found,)))
    return found


def condition_of(vr: str, text: str, *, fuzzy: bool = False) -> Condition | None:
    """The condition that a text means; None: universal matching. Raises `Invalid`."""
    text = text.strip(" \0")
    if not text.strip("*"):
        return None
    if vr == "UI":
        return _uids(text)
    if vr in MOMENTS:
        return Range(*split_range(vr, text))
    if vr == "PN":
        words = words_of((text,)) if fuzzy else text.strip("*^= ")
        return Person(text, fuzzy) if words else None
    if vr == "SQ":
        raise Invalid("A sequence is asked for by the attributes of its items.")
    values = [text] if vr in _WHOLE else [one.strip() for one in text.split("\\")]
    if len(values) > 1:
        return AnyOf(tuple(values))
    if vr in _WILD and ("*" in text or "?" in text):
        return Wildcard(text)
    return Exactly(text)


def _uids(text: str) -> Condition | None:
    values = tuple(one.strip() for one in re.split(r"[\\,]", text) if one.strip())
    if len(values) > _MAX_VALUES:
        raise Invalid(f"Ask for at most {_MAX_VALUES:,} UIDs at once.")
    for one in values:
        if not _UID.fullmatch(one):
            raise Invalid("A UID has digits and points, 64 at the most.")
    if not values:
        return None
    return Exactly(values[0]) if len(values) == 1 else AnyOf(values)
