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

from fhirserver.dicom.known import Known
from fhirserver.dicom.reader import Dataset, Place, Reader
from fhirserver.dicom.transfer_syntax import encoding_of
from fhirserver.dicom.unreadable import NeedMore, Unreadable

# Bounds: what a header may cost, whoever sends it (and see `reader`).
_INFLATED: Final = 64 * 2**20  # bytes of header that a deflated data set may become
_ELEMENT: Final = 64 * 2**20  # bytes of one element, such as a sequence
_PIECE: Final = 2**20
_STEP: Final = 16_384  # bytes that are copied at once: most headers are shorter


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
        scan = HeaderScan(transfer_syntax, assumed)
        scan.feed(data[start:])
        if not whole and not scan.is_read:
            raise NeedMore(len(data) + 1)
        return scan.finish()
    reader = Reader(data, start, encoding, whole=whole, assumed=assumed)
    dataset = reader.read()
    written = msgspec.json.encode(dataset)
    return Header(dataset, written, reader.pixel_data, reader.pixels, reader.bulk)


class HeaderScan:
    """The same for a data set that comes in pieces; keeps no more of it than it must.

    `feed` it every piece, then `finish`. `known`: what was read of others before, of which the
    new dataset may have parts; nobody may change it then.
    """

    def __init__(
        self, transfer_syntax: str, assumed: tuple[str, ...] = (), known: Known | None = None
    ) -> None:
        encoding = encoding_of(transfer_syntax)
        self._inflating = zlib.decompressobj(-zlib.MAX_WBITS) if encoding.deflated else None
        self._reader = Reader(b"", 0, encoding, whole=False, assumed=assumed, known=known)
        self._dataset: Dataset | None = None
        self._held = bytearray()
        self._size = 0
        self._skips = 0  # bytes of a long value that are still to come, and not wanted
        self._wants = 0  # so many bytes are needed to go on

    @property
    def is_read(self) -> bool:
        """Whether the pixel data were reached, so that no more is wanted."""
        return self._dataset is not None

    def feed(self, piece: bytes | bytearray | memoryview) -> None:
        """Takes in the next bytes, and keeps no reference to them. Raises `Unreadable`."""
        self._size += len(piece)
        if self._dataset is not None:
            return
        if self._inflating is None:
            for at in range(0, len(piece), _STEP):
                self._take(piece[at : at + _STEP])
                if self._dataset is not None:
                    break
            return
        rest = bytes(piece)
        while rest and self._dataset is None:
            self._take(_inflate(self._inflating, rest, _PIECE))
            rest = self._inflating.unconsumed_tail
            if self._reader.base + len(self._held) > _INFLATED:
                raise Unreadable("The header is larger than this server takes.")

    def finish(self) -> Header:
        """The header, when all has come. Raises `Unreadable`."""
        if self._dataset is None:
            self._read(whole=True)
        assert self._dataset is not None
        reader, pixels = self._reader, self._reader.pixels
        written = msgspec.json.encode(self._dataset)
        if self._inflating is not None:
            return Header(self._dataset, written, None, None, {})
        if pixels is not None and pixels.start + (pixels.length or 0) > self._size:
            raise Unreadable("The data set ends before its pixel data do.")
        return Header(self._dataset, written, reader.pixel_data, pixels, reader.bulk)

    def _take(self, piece: bytes | bytearray | memoryview) -> None:
        if self._skips:
            skips = min(self._skips, len(piece))
            self._skips -= skips
            piece = piece[skips:]
        self._held += piece
        if not self._skips and len(self._held) >= self._wants:
            self._read(whole=False)

    def _read(self, *, whole: bool) -> None:
        reader, held = self._reader, self._held
        if self._skips:
            raise Unreadable("The data set ends before its last element does.")
        reader.go_on(bytes(held), whole=whole)
        try:
            self._dataset = reader.read()
            self._held.clear()
        except NeedMore as more:
            done = reader.read_to
            self._held = held[done:]
            self._skips = max(0, done - len(held))
            # Twice as much as before, so that a long sequence is not read over and over.
            self._wants = max(more.size - reader.base - done, 2 * len(self._held))
            if self._wants > _ELEMENT:
                raise Unreadable("The header is larger than this server takes.") from None


def _inflate(inflating: zlib._Decompress, data: bytes, most: int) -> bytes:
    try:
        return inflating.decompress(data, most)
    except zlib.error as error:
        raise Unreadable("The deflated data set cannot be inflated.") from error
