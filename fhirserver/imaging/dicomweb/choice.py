"""In which media type and transfer syntax instances and frames go out (PS3.18, 8.7.3 to 8.7.8).

Each rule takes the ranges of an Accept header in their order, and what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from fhirserver.dicom.transfer_syntax import EXPLICIT_LITTLE
from fhirserver.errors import NotAcceptable
from fhirserver.imaging.dicomweb.accept import ANY, AS_STORED, DICOM, OCTETS, ZIP, Wanted
from fhirserver.imaging.rendering.syntaxes import ALIASES, MEDIA_TYPES, NATIVE
from fhirserver.imaging.rendering.transcode import COMPRESSED, MADE
from fhirserver.imaging.rendering.wish import FORMATS, Format


class Choice(NamedTuple):
    """`transfer_syntax` is what to make; None: as it is stored."""

    in_parts: bool
    type: str
    transfer_syntax: str | None = None


_LOSSLESS: Final = {MEDIA_TYPES[syntax]: syntax for syntax in COMPRESSED}


def instances_as(ranges: Sequence[Wanted], *, is_one: bool) -> Choice:
    """How instances go out. The usual transfer syntax is Explicit VR Little Endian (8.7.3.5.2).

    Raises `NotAcceptable`.
    """
    for one in ranges:
        if one.type == ZIP and one.in_parts is False:
            syntax = one.transfer_syntax or EXPLICIT_LITTLE
            return Choice(False, ZIP, None if syntax == AS_STORED else syntax)
        if not one.takes(DICOM) or (one.in_parts is False and not is_one):
            continue
        syntax = one.transfer_syntax or EXPLICIT_LITTLE
        in_parts = one.in_parts is not False
        return Choice(in_parts, DICOM, None if syntax == AS_STORED else syntax)
    raise NotAcceptable(
        f"Instances are to be had as multipart/related of {DICOM}, as {ZIP}"
        f"{', or as ' + DICOM if is_one else ''}."
    )


def is_made(choice: Choice, stored: str) -> bool:
    """Whether an instance can be had as chosen: as it is, or transcoded."""
    return choice.transfer_syntax in (None, stored) or choice.transfer_syntax in MADE


def frames_as(ranges: Sequence[Wanted], stored: str, *, is_one: bool) -> Choice:
    """How frames go out: uncompressed, compressed as they are, or compressed anew without loss.

    Raises `NotAcceptable`.
    """
    compressed = MEDIA_TYPES.get(stored)
    for one in ranges:
        if one.in_parts is False and not is_one:
            continue
        found = _frame(one, stored, compressed)
        if found is not None:
            return found
    known = f" and {compressed}" if compressed else ""
    raise NotAcceptable(f"Frames are to be had as {OCTETS}{known}, in multipart/related.")


def _frame(one: Wanted, stored: str, compressed: str | None) -> Choice | None:
    in_parts, syntax = one.in_parts is not False, one.transfer_syntax
    if one.takes(OCTETS):
        if syntax is None or syntax in NATIVE:
            return Choice(in_parts, OCTETS, EXPLICIT_LITTLE)
        if syntax == AS_STORED and compressed is None:
            return Choice(in_parts, OCTETS, EXPLICIT_LITTLE)
        if syntax in (AS_STORED, stored):
            return Choice(in_parts, compressed or OCTETS)
        if syntax in COMPRESSED:
            return Choice(in_parts, MEDIA_TYPES[syntax], syntax)
        if one.type == OCTETS:
            return None
    type = ALIASES.get(one.type, one.type)
    named = one._replace(type=type)
    if compressed is not None and named.takes(compressed) and syntax in (None, AS_STORED, stored):
        return Choice(in_parts, compressed)
    made = _LOSSLESS.get(type)
    if made is not None and syntax in (None, AS_STORED, made):
        return Choice(in_parts, type, made)
    return None


def rendered_as(ranges: Sequence[Wanted]) -> tuple[bool, Format]:
    """Whether pictures go out in parts (only where that is asked for), and their format.

    Raises `NotAcceptable`.
    """
    for one in ranges:
        for format in FORMATS:
            if one.takes(format):
                return one.in_parts is True and one.type != ANY, format
    raise NotAcceptable(f"Pictures are to be had as {', '.join(FORMATS)}.")
