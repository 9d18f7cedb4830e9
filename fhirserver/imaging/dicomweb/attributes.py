"""Attributes as addresses name them (PS3.18, 8.3.4): `00100010`, `PatientName`, or inside
sequences `RequestAttributesSequence.AccessionNumber`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from fhirserver.dicom.dictionary import entry, tag_of
from fhirserver.dicom.vr import dictionary_vr

_TAG = re.compile(r"[0-9A-Fa-f]{8}", re.ASCII)
_KEYWORD = re.compile(r"[A-Z][A-Za-z0-9]{0,63}", re.ASCII)
_MAX_DEPTH: Final = 8


@lru_cache(maxsize=4096)
def attribute(name: str) -> tuple[tuple[str, str], ...] | None:
    """The (tag, VR) of an attribute, behind those of the sequences that it is in.

    None for what is no tag, and no keyword of PS3.6.
    """
    parts = name.split(".")
    if len(parts) > _MAX_DEPTH:
        return None
    found = []
    for part in parts:
        tag = _tag(part)
        if tag is None:
            return None
        vr = dictionary_vr(int(tag, 16))
        found.append((tag, vr.partition(" ")[0]))
    if any(vr != "SQ" for _, vr in found[:-1]):
        return None
    return tuple(found)


@lru_cache(maxsize=4096)
def keyword(tag: str) -> str:
    """The keyword of a tag; empty where PS3.6 has none."""
    found = entry(int(tag, 16))
    return "" if found is None else found.keyword


def _tag(part: str) -> str | None:
    if _TAG.fullmatch(part):
        return part.upper()
    if not _KEYWORD.fullmatch(part):
        return None
    found = tag_of(part)
    return None if found is None else f"{found:08X}"
