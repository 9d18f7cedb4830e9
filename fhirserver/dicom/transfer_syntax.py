"""How the elements of a data set are encoded under a transfer syntax (PS3.5 chapter 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Encoding:
    """Of the elements; what pixel data look like is another matter."""

    explicit: bool = True
    little: bool = True
    deflated: bool = False


IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
# JPIP referenced deflate, and deflate of HTJ2K's sort (PS3.5 A.6, A.4.12).
_DEFLATING: Final = (DEFLATED, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")

_OTHERS: Final = {
    IMPLICIT_LITTLE: Encoding(explicit=False),
    # GE's private one: implicit VR, with the pixel data alone in big endian.
    "1.2.840.113619.5.2": Encoding(explicit=False),
    EXPLICIT_BIG: Encoding(little=False),
    **dict.fromkeys(_DEFLATING, Encoding(deflated=True)),
}
_USUAL: Final = Encoding()


def encoding_of(transfer_syntax: str) -> Encoding:
    """Of a transfer syntax. All others, also those to come, are explicit VR little endian."""
    return _OTHERS.get(transfer_syntax, _USUAL)
