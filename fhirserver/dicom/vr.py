"""Value representations: what they are where the encoding does not say (PS3.5 6.2, PS3.6)."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from fhirserver.dicom.dictionary import entry

# VRs of explicit encoding whose length takes four bytes (PS3.5 7.1.2).
LONG: Final = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
SHORT: Final = frozenset(
    (
        b"AE",
        b"AS",
        b"AT",
        b"CS",
        b"DA",
        b"DS",
        b"DT",
        b"FD",
        b"FL",
        b"IS",
        b"LO",
        b"LT",
        b"PN",
        b"SH",
        b"SL",
        b"SS",
        b"ST",
        b"TM",
        b"UI",
        b"UL",
        b"US",
    )
)
PIXEL_REPRESENTATION: Final = 0x00280103


@lru_cache(maxsize=8192)
def dictionary_vr(tag: int) -> str:
    """What the dictionary says: also `US or SS` and the like, and UN for what it does not know."""
    group, element = tag >> 16, tag & 0xFFFF
    if group & 1:
        return "LO" if 0x10 <= element <= 0xFF else "UN"
    if element == 0:
        return "UL"
    found = entry(tag)
    return "UN" if found is None else found.vr


def implicit_vr(tag: int, *, signed: bool) -> str:
    """Of an element in implicit VR. `signed`: Pixel Representation of its data set is 1."""
    vr = dictionary_vr(tag)
    if " " not in vr:
        return vr
    if "OW" in vr:  # OB or OW, US or OW, US or SS or OW: PS3.5 A.1
        return "OW"
    return "SS" if signed else "US"
