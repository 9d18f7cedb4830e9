"""Whether pixels may name the patient (PS3.15 E.3.1, E.3.2): nobody cleans them here."""

from __future__ import annotations

from typing import Final

from fhirserver.dicom.mapping.attributes import Attributes, code
from fhirserver.errors import Unprocessable

_SHOWING: Final = frozenset({"US", "SC", "XC", "ES", "GM", "OT", "OP", "DOC"})
"""Modalities that write into their pictures, or that take pictures of faces and papers."""

_ENCAPSULATED: Final = "00420011"
_BURNED_IN: Final = "00280301"
_RECOGNIZABLE: Final = "00280302"


def refuse(header: Attributes, *, unknown: bool = False) -> None:
    """Raises `Unprocessable` where the pixels of an instance may tell who it is.

    `unknown`: pictures that do not say whether something is burned in are taken, by the word of
    the caller; those that say so never are.
    """
    if _ENCAPSULATED in header:
        raise Unprocessable("An encapsulated document cannot be de-identified.")
    if code(header, _BURNED_IN) == "YES":
        raise Unprocessable("Annotations are burned into the pixels of an instance.")
    if code(header, _RECOGNIZABLE) == "YES":
        raise Unprocessable("The pixels of an instance show who it is.")
    says = code(header, _BURNED_IN) == "NO"
    if not says and not unknown and code(header, "00080060") in _SHOWING:
        raise Unprocessable(
            "An instance does not say whether annotations are burned into its pixels."
        )
