"""Identifiers of C-FIND, C-MOVE and C-GET: what they ask for, and what answers them (PS3.4 C.4).

The data set of a request comes as pydicom reads it; answers are made from DICOM JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

import msgspec
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import UID
from pydicom.valuerep import PersonName
from pynetdicom.dsutils import decode

from fhirserver.dicom.matching import Item, Key, key
from fhirserver.errors import Invalid

UTF_8: Final = "ISO_IR 192"
LEVEL: Final = "00080052"
CHARACTER_SET: Final = "00080005"
TIME_ZONE: Final = "00080201"
RETRIEVE_TITLE: Final = "00080054"
AVAILABILITY: Final = "00080056"

_NO_KEYS: Final = frozenset((LEVEL, CHARACTER_SET, TIME_ZONE, RETRIEVE_TITLE, AVAILABILITY))
_BINARY: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN", "AT"))
_MOST_KEYS: Final = 500
_DEEPEST: Final = 8


def read(data: BytesIO | None, transfer_syntax: UID, character_set: str | None) -> Dataset:
    """The data set of a request; `character_set` is assumed where it names none.

    Raises `Invalid` for bytes that are no data set. Text is read here, not later.
    """
    if data is None:
        raise Invalid("There is no identifier.")
    try:
        found = decode(
            data,
            transfer_syntax.is_implicit_VR,
            transfer_syntax.is_little_endian,
            transfer_syntax.is_deflated,
        )
        if character_set is not None and not found.get("SpecificCharacterSet"):
            found.SpecificCharacterSet = character_set
        found.decode()
        _walk(found, _DEEPEST)
    except Invalid:
        raise
    except Exception as error:
        # pydicom raises whatever a hostile data set makes it raise, lookups of codecs included.
        raise Invalid("The data set cannot be read.") from error
    return found


def _walk(data: Dataset, depth: int) -> None:
    """Reads every value now, so that none raises later."""
    if not depth or len(data) > _MOST_KEYS:
        raise Invalid("The data set has too many elements, or too deep ones.")
    for element in data:
        if element.VR == "SQ":
            for item in element.value or ():
                _walk(item, depth - 1)


@dataclass(frozen=True, slots=True)
class Asked:
    """What an identifier asks: `keys` to match; `tags` to return, in order, by their VR, and
    `inner`, those of the items of sequences that have some; `shown`: the matching keys as the
    audit trail tells them."""

    keys: tuple[Key, ...]
    tags: Mapping[str, str]
    inner: Mapping[str, Mapping[str, str]]
    shown: tuple[tuple[str, str], ...]


def asked(data: Dataset, *, fuzzy: bool = False) -> Asked:
    """The keys of an identifier. Raises `Invalid` for a value that no key can have."""
    keys: list[Key] = []
    tags: dict[str, str] = {}
    inner: dict[str, Mapping[str, str]] = {}
    shown: list[tuple[str, str]] = []
    for element in data:
        tag = f"{element.tag:08X}"
        if tag in _NO_KEYS or element.tag.element == 0:
            continue
        tags[tag] = str(element.VR)
        if element.VR == "SQ" and element.value:
            inner[tag] = asked(element.value[0]).tags
        made = _key(tag, element, fuzzy=fuzzy)
        if made is not None:
            keys.append(made)
            shown.append((element.keyword or tag, _shown(element)))
    return Asked(tuple(keys), tags, inner, tuple(shown))


def text_of(element: DataElement) -> str:
    """The value of an element as one text, with backslashes between values."""
    value = element.value
    if value is None or element.VR in _BINARY:
        return ""
    if isinstance(value, str | PersonName) or not isinstance(value, Iterable):
        return str(value)
    return "\\".join("" if item is None else str(item) for item in value)


def _key(tag: str, element: DataElement, *, fuzzy: bool) -> Key | None:
    if element.VR != "SQ":
        text = text_of(element)
        return key(tag, str(element.VR), text, fuzzy=fuzzy) if text else None
    if not element.value:
        return None
    if len(element.value) > 1:
        raise Invalid("A sequence to be matched has one item.")
    inner = asked(element.value[0], fuzzy=fuzzy).keys
    return Key(tag, "SQ", Item(inner)) if inner else None


def _shown(element: DataElement) -> str:
    if element.VR != "SQ":
        return text_of(element)
    return "&".join(f"{name}={value}" for name, value in asked(element.value[0]).shown)


def answer(found: Mapping[str, Any], wanted: Asked, **fixed: str) -> Dataset:
    """What answers: the wanted attributes of a match in DICOM JSON, empty where it has none.

    `fixed` are attributes by keyword. Text is in UTF-8.
    """
    data = Dataset()
    for tag, vr in wanted.tags.items():
        element = found.get(tag)
        if element and tag in wanted.inner:
            element = element | {"Value": _narrowed(element, wanted.inner[tag])}
        made = _element(tag, element) if element and "Value" in element else None
        data.add(made or DataElement(Tag(int(tag, 16)), _vr(element, vr), None))
    for name, value in fixed.items():
        setattr(data, name, value)
    data.SpecificCharacterSet = UTF_8
    return data


def _narrowed(element: Mapping[str, Any], tags: Mapping[str, str]) -> list[Any]:
    """The items of a sequence with the wanted attributes alone."""
    return [
        {tag: item.get(tag, {"vr": vr}) for tag, vr in tags.items()}
        for item in element.get("Value", ())
    ]


def _vr(element: Mapping[str, Any] | None, vr: str) -> str:
    return str(element.get("vr", vr)) if element else vr


def _element(tag: str, element: Mapping[str, Any]) -> DataElement | None:
    """None for a value that cannot be: it was stored as it came."""
    try:
        return DataElement.from_json(Dataset, tag, element["vr"], element["Value"], "Value")
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def attributes(*objects: bytes | None) -> dict[str, Any]:
    """Objects in DICOM JSON as one; of an attribute that several have, the first counts."""
    found: dict[str, Any] = {}
    for one in objects:
        if one:
            found = msgspec.json.decode(one) | found
    return found
