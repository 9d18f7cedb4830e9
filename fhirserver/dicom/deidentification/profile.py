"""What becomes of an attribute: PS3.15 Table E.1-1, by the options chosen.

Where the table leaves a choice by the type of the attribute (`X/Z/D`), the one is taken that
keeps a data set valid: an empty or a dummy value rather than none. What the table does not name
is judged by its value representation, so that the attributes of a younger edition, and wrong
ones, hide nobody.
"""

from __future__ import annotations

from functools import cache
from typing import Final, Literal, TypeAlias

from fhirserver.definitions.packaged import dicom_table
from fhirserver.dicom.deidentification.options import Dates, Options

Action: TypeAlias = Literal["remove", "empty", "dummy", "uid", "keep", "shift", "clean"]

_BASIC: Final[dict[str, Action]] = {
    "X": "remove",
    "Z": "empty",
    "D": "dummy",
    "U": "uid",
    "X/Z": "empty",
    "X/D": "dummy",
    "Z/D": "dummy",
    "X/Z/D": "dummy",
    "X/Z/U*": "uid",
}
_UIDS, _DEVICE, _INSTITUTION, _PATIENT, _DATES, _SHIFTED, _DESCRIPTORS = range(7)
_BY_DATES: Final[dict[Dates, Action]] = {"removed": "remove", "shifted": "shift", "kept": "keep"}
_TEMPORAL: Final = frozenset({"DA", "DT", "TM"})
_NAMED: Final = frozenset({"PN", "UN", "AE"})
"""Representations that name somebody or something, or say nothing about what they hold."""


def action(tag: int, vr: str, options: Options) -> Action:
    """What to do with an element of a public group, by its tag and value representation."""
    row = _row(tag)
    if row is None:
        return _unnamed(vr, options)
    basic, *columns = row
    chosen = [
        (options.uids, columns[_UIDS]),
        (options.device, columns[_DEVICE]),
        (options.institution, columns[_INSTITUTION]),
        (options.patient, columns[_PATIENT]),
        (options.dates == "kept", columns[_DATES]),
        (options.dates == "shifted", columns[_SHIFTED]),
        (options.descriptors, columns[_DESCRIPTORS]),
    ]
    said = {column for wanted, column in chosen if wanted}
    if "K" in said:
        return "keep"
    if "C" in said:
        return "shift" if vr in _TEMPORAL else "clean"
    return _BASIC[basic]


def _unnamed(vr: str, options: Options) -> Action:
    if vr in _TEMPORAL:
        return _BY_DATES[options.dates]
    if vr == "UI":
        return "keep" if options.uids else "uid"
    return "remove" if vr in _NAMED else "keep"


def _row(tag: int) -> list[str] | None:
    group = tag >> 24
    if group == 0x50:
        return _table()["50XXXXXX"]
    if group == 0x60:
        return _table().get(f"60XX{tag & 0xFFFF:04X}")
    return _table().get(f"{tag:08X}")


@cache
def _table() -> dict[str, list[str]]:
    """Basic action and columns of the options by tag."""
    return {row[0]: row[1:] for row in dicom_table("confidentiality")}
