"""The header of a data set, up to its pixel data, as DICOM JSON (PS3.18 annex F).

The hot path of everything that is stored: for a usual CT it takes a tenth of the time of a
general parser (docs/adr/0063-c-store.md). Values that are long or that JSON cannot say are
named by a `BulkDataURI` relative to the instance (`bulkdata/7FE00010`; in an item
`bulkdata/00081140/1/00081150`), and found by `Header.bulk`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from fhirserver.dicom.reader import Dataset, Place, Reader
from fhirserver.dicom.transfer_syntax import encoding_of
from fhirserver.dicom.unreadable import Unreadable

_INFLATED: Final = 64 * 2**20  # bytes of header that a deflated data set may become


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a data set without its pixel data.

    `dataset` and `json` are the same: all elements before the pixel data, and these as
    BulkDataURI. `pixel_data` is where the element of pixel data begins (its tag), and `pixels`
    its value; both None where there is none, or where the data set is deflated. `bulk` has the
    values that only a BulkDataURI names, by that URI without `bulkdata/`.
    """

    dataset: Dataset
    json: bytes
    pixel_data: int | None
    pixels: Place | None
    bulk: Mapping[str, Place]

    def text(self, tag: str) -> str:
        """The first value of a text element, such as `0020000D`; empty if there is none."""
        found = self.dataset.get(tag, _EMPTY).get("Value")
        return found[0] if found and isinstance(found[0], str) else ""


_EMPTY: Final[dict[str, Any]] = {}


def read_header(
    data: bytes | bytearray | memoryview,
    transfer_syntax: str,
    *,
    whole: bool = True,
    start: int = 0,
    assumed: tuple[str, ...] = (),
) -> Header:
    """The header of the data set that `data` holds from `start` on (an `mmap` will do as well).

    `whole`: nothing comes behind `data`; else they are the first bytes of it. `assumed` are
    values of (0008,0005) for a data set that has none. Places count from `start`.
    Raises `NeedMore` where the header goes on behind `data`, `Unreadable` where its bytes are
    against PS3.5 or it is beyond the bounds above.
    """
    encoding = encoding_of(transfer_syntax)
    if encoding.deflated:
        data, whole = _inflated(bytes(data[start:]), whole=whole)
        start = 0
    reader = Reader(data, start, encoding, whole=whole, assumed=assumed)
    dataset = reader.read()
    written = msgspec.json.encode(dataset)
    if encoding.deflated:
        return Header(dataset, written, None, None, {})
    return Header(dataset, written, reader.pixel_data, reader.pixels, reader.bulk)


def _inflated(data: bytes, *, whole: bool) -> tuple[bytes, bool]:
    """The first bytes of a deflated data set, and whether they are all (PS3.5 A.5)."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        header = inflate.decompress(data, _INFLATED)
    except zlib.error as error:
        raise Unreadable("The deflated data set cannot be inflated.") from error
    if inflate.unconsumed_tail:
        return header, False  # more than a header may be; fails only if the header is not over
    return header, whole
