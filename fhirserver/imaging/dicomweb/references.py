"""What metadata refer to: the bulk data that come in parts of their own (PS3.18, F.2.2)."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from fhirserver.dicom.unreadable import Unreadable

PIXELS: Final = frozenset({"7FE00008", "7FE00009", "7FE00010"})
_TAG = re.compile(r"[0-9A-F]{8}", re.ASCII)
_VR = re.compile(r"[A-Z]{2}", re.ASCII)
_DEPTH: Final = 48


class Reference(NamedTuple):
    """`path` has tags and numbers of items, as `00081140/1/00081150`."""

    uri: str
    path: str
    vr: str

    @property
    def is_pixels(self) -> bool:
        return self.path in PIXELS


def taken_out(attributes: Any) -> list[Reference]:
    """Takes the attributes that are elsewhere out of a DICOM JSON object, and says where they are.

    File Meta Information is taken out too. Raises `Unreadable` for what is no such object.
    """
    found: list[Reference] = []
    _take(attributes, "", found, _DEPTH)
    return found


def _take(attributes: Any, path: str, found: list[Reference], depth: int) -> None:
    if not isinstance(attributes, dict) or not depth:
        raise _no_object()
    for tag in list(attributes):
        attribute = attributes[tag]
        vr = attribute.get("vr") if isinstance(attribute, dict) else None
        if not isinstance(tag, str) or not _TAG.fullmatch(tag.upper()):
            raise _no_object()
        if not isinstance(vr, str) or not _VR.fullmatch(vr):
            raise _no_object()
        if "BulkDataURI" in attribute:
            uri = attribute["BulkDataURI"]
            if not isinstance(uri, str) or not uri:
                raise _no_object()
            found.append(Reference(uri, path + tag.upper(), vr))
        if "BulkDataURI" in attribute or tag.startswith("0002"):
            del attributes[tag]
        elif vr == "SQ":
            items = attribute.get("Value", [])
            if not isinstance(items, list):
                raise _no_object()
            for number, item in enumerate(items, 1):
                _take(item, f"{path}{tag.upper()}/{number}/", found, depth - 1)


def _no_object() -> Unreadable:
    return Unreadable("The metadata are no DICOM JSON.")
