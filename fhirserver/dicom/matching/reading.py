"""Keys as C-FIND and QIDO-RS write them, read by the rules of their value representation."""

from __future__ import annotations

from collections.abc import Sequence

from fhirserver.dicom.matching.condition import Key


def key(tag: str, vr: str, text: str, *, fuzzy: bool = False) -> Key | None:
    """The key of an attribute (`00100010`) that a query gives as text; None: universal matching.

    Several values stand apart by backslashes (QIDO: write the comma of UID lists as such).
    Raises `Invalid` for a date, time or UID that is none.
    """
    raise NotImplementedError


def sequence_key(path: Sequence[tuple[str, str]], text: str, *, fuzzy: bool = False) -> Key | None:
    """The key of an attribute inside sequences: (tag, VR) from the outermost one on."""
    raise NotImplementedError
