"""The file of an instance whose attributes come as DICOM JSON, but for its pixels (PS3.18, F).

Runs in processes: pydicom writes it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fhirserver.errors import FhirError, Unprocessable
from fhirserver.imaging.rendering.transcode import pixels_length

if TYPE_CHECKING:
    from pydicom import Dataset

_PADDING: Final = 0xFFFCFFFC
_TEXT: Final = frozenset({"LT", "SH", "LO", "ST", "UC", "UT", "PN", "CS", "DS", "IS", "UR"})
_ENCODED: Final = frozenset({"LT", "SH", "LO", "ST", "UC", "UT", "PN"})
_UNICODE: Final = "ISO_IR 192"
_UNDEFINED: Final = 0xFFFFFFFF


class Bulk(NamedTuple):
    """A value that came apart. `path` leads to its attribute: tags, and numbers of items."""

    path: str
    vr: str
    value: bytes


class PixelElement(NamedTuple):
    """The element of the pixels; `encapsulated` ones follow as items of any length."""

    tag: int
    vr: str
    encapsulated: bool


class Assembled(NamedTuple):
    """`front`: the file up to the value of its pixels, `tail`: what comes behind.

    `length`: the bytes between them, where they are native (an odd number: and one more).
    """

    front: bytes
    length: int
    tail: bytes


def assembled(
    attributes: dict[str, Any], bulk: Sequence[Bulk], syntax: str, pixels: PixelElement | None
) -> Assembled:
    """The file without its pixels. Raises `Unprocessable` for attributes that are none."""
    from pydicom import config

    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            return _assembled(attributes, bulk, syntax, pixels)
    except FhirError:
        raise
    except Exception as error:  # not its text: it may quote the data set
        raise Unprocessable("The metadata are no instance.") from error


def _assembled(
    attributes: dict[str, Any], bulk: Sequence[Bulk], syntax: str, pixels: PixelElement | None
) -> Assembled:
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID

    dataset = Dataset.from_json(attributes)
    said = dataset.get("SpecificCharacterSet") or ""
    for one in bulk:
        _fill(dataset, one if one.vr not in _ENCODED else one._replace(value=_utf8(one, said)))
    _say_in_unicode(dataset)
    behind = Dataset()
    for tag in [tag for tag in dataset.keys() if tag >= 0x7FE00001]:  # noqa: SIM118
        element = dataset[tag]
        del dataset[tag]
        # Tables of offsets are of pixels as they were in another file.
        if tag >= 0x7FE00008 and tag != _PADDING:  # pixels are there if the image is very small
            behind[tag] = element
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    head, length = b"", 0
    if pixels is not None:
        if not pixels.encapsulated:
            length = pixels_length(dataset, int(dataset.get("NumberOfFrames") or 1))
        head = _element_head(pixels, length + length % 2)
    return Assembled(out.getvalue() + head, length, _written(behind))


def _fill(dataset: Dataset, bulk: Bulk) -> None:
    """Puts a value where it belongs, byte by byte as it came."""
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    parts = bulk.path.split("/")
    for sequence, number in zip(parts[:-1:2], parts[1::2], strict=True):
        dataset = dataset[Tag(int(sequence, 16))].value[int(number) - 1]
    value = bulk.value
    if len(value) % 2:
        value += b" " if bulk.vr in _TEXT else b"\0"
    tag = Tag(int(parts[-1], 16))
    dataset[tag] = RawDataElement(tag, bulk.vr, len(value), value, 0, False, True)


def _utf8(bulk: Bulk, said: Any) -> bytes:
    """A text that came apart is in the character set that the attributes name."""
    from pydicom.charset import convert_encodings, decode_bytes

    encodings = convert_encodings([said] if isinstance(said, str) else list(said))
    return str(decode_bytes(bulk.value, encodings, {10, 12, 13})).encode("utf-8")


def _say_in_unicode(dataset: Dataset) -> None:
    """JSON is Unicode, whatever the data set says that it was once."""
    for item in _datasets(dataset):
        if item is not dataset and "SpecificCharacterSet" in item:
            del item.SpecificCharacterSet
    dataset.SpecificCharacterSet = _UNICODE


def _datasets(dataset: Dataset) -> list[Dataset]:
    found = [dataset]
    for one in found:
        for tag in one.keys():  # noqa: SIM118
            element = one.get_item(tag)
            if element.VR == "SQ":
                found.extend(one[tag].value)
    return found


def _element_head(pixels: PixelElement, length: int) -> bytes:
    if length >= _UNDEFINED:
        raise Unprocessable("The pixels are longer than an element can be.")
    size = _UNDEFINED if pixels.encapsulated else length
    tag = (pixels.tag >> 16).to_bytes(2, "little") + (pixels.tag & 0xFFFF).to_bytes(2, "little")
    vr = "OB" if pixels.encapsulated else pixels.vr
    return tag + vr.encode("ascii") + b"\0\0" + size.to_bytes(4, "little")


def _written(dataset: Dataset) -> bytes:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, dataset)
    return out.getvalue()
