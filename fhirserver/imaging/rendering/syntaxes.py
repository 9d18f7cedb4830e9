"""Transfer syntaxes and the media types of their frames (PS3.18, 8.7.3.3 and 8.7.3.4)."""

from __future__ import annotations

from typing import Final

from fhirserver.dicom.transfer_syntax import (
    DEFLATED,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
)

NATIVE: Final = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED})
"""Those whose frames are not compressed, each for itself."""

_JPEG: Final = "1.2.840.10008.1.2.4."
_BY_TYPE: Final = {
    "image/jpeg": ("50", "51", "57", "70"),
    "image/jls": ("80", "81"),
    "image/jp2": ("90", "91"),
    "image/jpx": ("92", "93"),
    "image/jphc": ("201", "202", "203"),
    "image/jxl": ("110", "111", "112"),
    "video/mpeg": ("100", "100.1", "101", "101.1"),
    "video/mp4": ("102", "102.1", "103", "103.1", "104", "104.1", "105", "105.1", "106", "106.1"),
    "video/H265": ("107", "108"),
}
MEDIA_TYPES: Final = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    **{f"{_JPEG}{end}": type for type, ends in _BY_TYPE.items() for end in ends},
}
"""The media type of a frame as it is compressed, by the transfer syntax."""

ALIASES: Final = {
    "image/x-jls": "image/jls",
    "image/x-dicom-rle": "image/dicom-rle",
    "image/jll": "image/jpeg",
    "image/dicom+jpeg": "image/jpeg",
    "image/dicom+jp2": "image/jp2",
    "image/dicom+rle": "image/dicom-rle",
    "image/jph": "image/jphc",
}
"""What they were called in earlier editions, or are by some."""
