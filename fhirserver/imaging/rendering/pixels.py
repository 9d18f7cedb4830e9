"""One frame as numbers, by pydicom and its decoders. Runs in processes that may fail.

PS3.3, C.7.6.3 tells what the numbers mean; docs/imaging.md, which transfer syntaxes are decoded.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Final

from fhirserver.errors import TooLarge, Unprocessable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydicom import Dataset

MAX_FRAME: Final = 256 * 1024 * 1024
"""Most bytes of one decoded frame."""

_EXPLICIT: Final = "1.2.840.10008.1.2.1"
# One codec for each, the best of those that are there: tried one after the other, as pydicom does
# by itself, they include one that ends its process on broken bytes.
_JPEG: Final = "1.2.840.10008.1.2.4."
_DECODERS: Final = {
    f"{_JPEG}50": "pillow",
    f"{_JPEG}51": "pillow",
    f"{_JPEG}57": "gdcm",
    f"{_JPEG}70": "gdcm",
    f"{_JPEG}80": "pyjpegls",
    f"{_JPEG}81": "pyjpegls",
    f"{_JPEG}90": "pylibjpeg",
    f"{_JPEG}91": "pylibjpeg",
    f"{_JPEG}201": "pylibjpeg",
    f"{_JPEG}202": "pylibjpeg",
    f"{_JPEG}203": "pylibjpeg",
    "1.2.840.10008.1.2.5": "pydicom",
}
_EXTENDED: Final = f"{_JPEG}51"  # with 12 bits
_JPEG_XL: Final = frozenset({f"{_JPEG}110", f"{_JPEG}111", f"{_JPEG}112"})
# What frames are decoded and shown by: group 0028, and these (each element costs time).
_BESIDE: Final = frozenset({0x00080016, 0x20500020})
_IN_GROUPS: Final = ("PixelValueTransformationSequence", "FrameVOILUTSequence")


def dataset_of(header: bytes) -> Dataset:
    """The data set of a file that was cut off before its pixels. Raises `Unprocessable`."""
    from pydicom import dcmread

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return dcmread(io.BytesIO(header), force=True)
    except Exception as error:
        raise Unprocessable("The header of the instance cannot be read.") from error


def frame_of(header: Dataset, frame: bytes, number: int, *, encapsulated: bool) -> Dataset:
    """A data set of one frame, whose bytes are given in little-endian order.

    Of the functional groups (PS3.3, C.7.6.16) it has what the frame's values are shown by.
    Raises `TooLarge`, `Unprocessable`.
    """
    from pydicom import Dataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    found = Dataset()
    found.file_meta = header.file_meta
    wanted = [tag for tag in header.keys() if tag.group == 0x0028 or tag in _BESIDE]  # noqa: SIM118
    found.update({tag: header.get_item(tag) for tag in wanted})
    _check_size(found)
    for name in _IN_GROUPS:
        for item in _group(header, number, name):
            found.update(item)
    found.NumberOfFrames = 1
    if not encapsulated:
        found.file_meta.TransferSyntaxUID = UID(_EXPLICIT)
    name = "PixelData"
    if not encapsulated and header.get("BitsAllocated") in (32, 64) and _is_float(header):
        name = "FloatPixelData" if header.BitsAllocated == 32 else "DoubleFloatPixelData"
    setattr(found, name, encapsulate([frame]) if encapsulated else frame)
    if name == "PixelData":
        found["PixelData"].VR = "OB" if encapsulated or header.BitsAllocated <= 8 else "OW"
    return found


def decoded(dataset: Dataset, *, raw: bool = False) -> NDArray[np.generic]:
    """The numbers of a data set of one frame: rows x columns, and samples if there are several.

    YBR becomes RGB, unless `raw`. Raises `Unprocessable` where nothing decodes it.
    """
    from pydicom.pixels.utils import pixel_array

    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax in _JPEG_XL or (syntax == _EXTENDED and dataset.get("BitsStored") == 12):
        return _by_imagecodecs(dataset, syntax)
    codec = _DECODERS.get(syntax, "")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: NDArray[np.generic] = pixel_array(
                dataset, index=0, raw=raw, decoding_plugin=codec
            )
            return found
    except MemoryError:
        raise TooLarge("The frame is larger than what is decoded here.") from None
    except Exception as error:
        # Not its text: it may quote the data set.
        raise Unprocessable("The pixels of the instance cannot be decoded.") from error


def _by_imagecodecs(dataset: Dataset, syntax: str) -> NDArray[np.generic]:
    """What pydicom has no decoder for (docs/adr/0077). Raises `Unprocessable`, `TooLarge`."""
    from pydicom.encaps import get_frame

    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    try:
        import imagecodecs

        if syntax == _EXTENDED:
            found: NDArray[np.generic] = imagecodecs.jpeg8_decode(frame)
        else:
            found = imagecodecs.jpegxl_decode(frame, numthreads=1)
    except MemoryError:
        raise TooLarge("The frame is larger than what is decoded here.") from None
    except Exception as error:
        raise Unprocessable("The pixels of the instance cannot be decoded.") from error
    samples = int(dataset.get("SamplesPerPixel", 1) or 1)
    shape = (int(dataset.Rows), int(dataset.Columns), samples)
    width = int(dataset.BitsAllocated)
    if found.shape not in (shape, shape[:2] if samples == 1 else shape) or width not in (8, 16):
        raise Unprocessable("The pixels of the instance are not those that it tells.")
    values = found.reshape(shape[:2] if samples == 1 else shape).astype(f"<u{width // 8}")
    if dataset.get("PixelRepresentation") == 1:
        unused = width - int(dataset.BitsStored)
        return (values << unused).view(f"<i{width // 8}") >> unused
    return values


def decompressed(dataset: Dataset) -> None:
    """Makes the compressed frame of a data set native, and its attributes those of what it is."""
    from pydicom.uid import UID

    pixels = decoded(dataset)
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        dataset.PhotometricInterpretation = "RGB"
        dataset.PlanarConfiguration = 0
    dataset.file_meta.TransferSyntaxUID = UID(_EXPLICIT)
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    dataset["PixelData"].VR = "OB" if dataset.BitsAllocated <= 8 else "OW"
    dataset["PixelData"].is_undefined_length = False


def _check_size(dataset: Dataset) -> None:
    try:
        size = (
            int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("SamplesPerPixel", 1) or 1)
        )
        size *= max(1, int(dataset.BitsAllocated) // 8)
    except (AttributeError, TypeError, ValueError):
        raise Unprocessable("The instance does not tell how large its frames are.") from None
    if size <= 0:
        raise Unprocessable("The instance has frames without pixels.")
    if size > MAX_FRAME:
        raise TooLarge("The frame is larger than what is decoded here.")


def _is_float(header: Dataset) -> bool:
    return "PixelRepresentation" not in header


def _group(header: Dataset, number: int, name: str) -> list[Dataset]:
    """The items of a functional group: those of the frame before those that all share."""
    shared = header.get("SharedFunctionalGroupsSequence") or []
    each = header.get("PerFrameFunctionalGroupsSequence") or []
    items = [*shared[:1], *each[number - 1 : number]]
    return [found for item in items for found in (item.get(name) or [])[:1]]
