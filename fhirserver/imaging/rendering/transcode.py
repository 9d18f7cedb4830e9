"""Instances and frames in other transfer syntaxes, by pydicom and its codecs. Runs in processes.

Only what loses nothing is made anew; what is decoded may have lost something before (PS3.5, 8.2).
"""

from __future__ import annotations

import io
import warnings
import zlib
from typing import TYPE_CHECKING, Final

from fhirserver.dicom.part10 import read_file_meta
from fhirserver.dicom.transfer_syntax import DEFLATED
from fhirserver.dicom.transfer_syntax import EXPLICIT_LITTLE as EXPLICIT
from fhirserver.dicom.transfer_syntax import IMPLICIT_LITTLE as IMPLICIT
from fhirserver.errors import TooLarge, Unprocessable
from fhirserver.imaging.rendering.pixels import dataset_of, decompressed, frame_of

if TYPE_CHECKING:
    from pydicom import Dataset

RLE: Final = "1.2.840.10008.1.2.5"
JPEG_LS: Final = "1.2.840.10008.1.2.4.80"
JPEG_2000: Final = "1.2.840.10008.1.2.4.90"
MADE: Final = frozenset({EXPLICIT, IMPLICIT, RLE, JPEG_LS, JPEG_2000})
"""The transfer syntaxes that instances can be had in, whatever they are stored in."""

COMPRESSED: Final = frozenset({RLE, JPEG_LS, JPEG_2000})
"""Those of them that compress."""

_ENCODERS: Final = {RLE: "pydicom", JPEG_LS: "pyjpegls", JPEG_2000: "pylibjpeg"}

MAX_WHOLE: Final = 256 * 1024 * 1024
"""Most bytes of a data set that has to be held whole, because it is deflated."""


def native_frame(header: bytes, frame: bytes, number: int, encapsulated: bool) -> bytes:
    """The frame in little-endian order, uncompressed, samples pixel by pixel, YBR as RGB."""
    if not encapsulated:
        return frame
    dataset = frame_of(dataset_of(header), frame, number, encapsulated=True)
    decompressed(dataset)
    return bytes(dataset.PixelData)


def compressed_frame(
    header: bytes, frame: bytes, number: int, encapsulated: bool, target: str
) -> bytes:
    """The frame compressed without loss. Raises `Unprocessable` where it cannot be."""
    from pydicom.encaps import get_frame

    dataset = frame_of(dataset_of(header), frame, number, encapsulated=encapsulated)
    _compressed(dataset, target)
    return bytes(get_frame(dataset.PixelData, 0, number_of_frames=1))


def header_in(header: bytes, frame: bytes, encapsulated: bool, target: str, frames: int) -> bytes:
    """The file in the transfer syntax up to the value of its pixels: to be continued.

    `frame` is the first one, by which it is known what its attributes become. Native pixels
    follow as they are and padded to an even length, compressed ones as items after an empty
    offset table that is part of what is given.
    """
    from pydicom.uid import UID

    dataset = dataset_of(header)
    if encapsulated or target in COMPRESSED:
        one = frame_of(dataset, frame, 1, encapsulated=encapsulated)
        if target in COMPRESSED:
            _compressed(one, target)
        else:
            decompressed(one)
        for name in _CHANGED:
            if name in one:
                dataset[name] = one[name]
    length = 0
    if target not in COMPRESSED:
        length = pixels_length(dataset, frames)
    dataset.file_meta.TransferSyntaxUID = UID(target)
    return _written(dataset) + _pixel_element(dataset, target, length)


def whole(data: bytes, source: str, target: str) -> bytes:
    """A whole file in another native transfer syntax: one without pixels, or that is deflated.

    Raises `TooLarge`, `Unprocessable`.
    """
    from pydicom import dcmread
    from pydicom.uid import UID

    if source == DEFLATED:
        _check_inflated(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = dcmread(io.BytesIO(data), force=True)
            dataset.file_meta.TransferSyntaxUID = UID(target)
            return _written(dataset)
    except MemoryError:
        raise TooLarge("The instance is larger than what is transcoded here.") from None
    except (TooLarge, Unprocessable):
        raise
    except Exception as error:
        raise Unprocessable("The instance cannot be transcoded.") from error


_CHANGED: Final = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)


def _compressed(dataset: Dataset, target: str) -> None:
    is_odd = dataset.get("PhotometricInterpretation") == "YBR_FULL_422"
    is_odd = is_odd or dataset.get("PlanarConfiguration") == 1
    if is_odd or dataset.file_meta.TransferSyntaxUID.is_compressed:
        decompressed(dataset)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.compress(target, encoding_plugin=_ENCODERS[target], generate_instance_uid=False)
    except MemoryError:
        raise TooLarge("The frame is larger than what is transcoded here.") from None
    except Exception as error:
        raise Unprocessable("The pixels of the instance cannot be compressed so.") from error


def pixels_length(dataset: Dataset, frames: int) -> int:
    """How many bytes so many native frames have, by the attributes of the data set."""
    bits = int(dataset.Rows) * int(dataset.Columns) * int(dataset.BitsAllocated)
    samples = int(dataset.get("SamplesPerPixel", 1) or 1)
    if dataset.get("PhotometricInterpretation") == "YBR_FULL_422":
        samples = 2
    return (bits * samples * frames + 7) // 8


def _written(dataset: Dataset) -> bytes:
    from pydicom import dcmwrite

    out = io.BytesIO()
    # Tables of offsets are of pixels that are now elsewhere.
    for tag in (0x7FE00001, 0x7FE00002, 0x7FE00003):
        if tag in dataset:
            del dataset[tag]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dcmwrite(out, dataset, enforce_file_format=True)
    except Exception as error:
        raise Unprocessable("The instance cannot be transcoded.") from error
    return out.getvalue()


def _pixel_element(dataset: Dataset, target: str, length: int) -> bytes:
    tag = b"\xe0\x7f\x10\x00"
    if "PixelRepresentation" not in dataset and dataset.get("BitsAllocated") in (32, 64):
        tag = b"\xe0\x7f" + (b"\x08\x00" if dataset.BitsAllocated == 32 else b"\x09\x00")
    vr = {b"\x08": b"OF", b"\x09": b"OD"}.get(tag[2:3], b"OW")
    if target in COMPRESSED:
        return tag + b"OB\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\0\0\0\0"
    size = (length + length % 2).to_bytes(4, "little")
    if length + length % 2 >= 0xFFFFFFFF:
        raise TooLarge("The instance is too large to be had uncompressed.")
    if target == IMPLICIT:
        return tag + size
    if vr == b"OW" and int(dataset.BitsAllocated) <= 8:
        vr = b"OB"
    return tag + vr + b"\0\0" + size


def _check_inflated(data: bytes) -> None:
    """Raises `TooLarge` for a deflated data set that becomes larger than what is held whole."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    size, rest = 0, data[read_file_meta(data).start :]
    try:
        while rest and not inflate.eof:
            size += len(inflate.decompress(rest, 1 << 20))
            rest = inflate.unconsumed_tail
            if size > MAX_WHOLE:
                raise TooLarge("The instance is larger than what is inflated here.")
    except zlib.error as error:
        raise Unprocessable("The deflated instance cannot be inflated.") from error
