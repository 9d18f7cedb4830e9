"""Where in its file an instance has its pixel data: what the archive keeps for each instance."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from fhirserver.dicom.header import Header


class Pixels(NamedTuple):
    """Offsets in the file. `element`: of the tag, so that what is before is the header; `value`:
    of the value. `length` None: undefined, which is encapsulated pixel data (PS3.5 A.4)."""

    element: int
    value: int
    length: int | None
    vr: str

    def encoded(self) -> bytes:
        return msgspec.json.encode(self)


def pixels_of(header: Header, start: int) -> Pixels | None:
    """Of a data set that begins at `start` of the file; None: it has none, or is deflated."""
    if header.pixel_data is None or header.pixels is None:
        return None
    place = header.pixels
    return Pixels(header.pixel_data + start, place.start + start, place.length, place.vr)


def decoded_pixels(encoded: bytes | None) -> Pixels | None:
    """What `Pixels.encoded` gave; None for None."""
    return None if encoded is None else _DECODER.decode(encoded)


_DECODER = msgspec.json.Decoder(Pixels)
