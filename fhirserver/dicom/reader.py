"""Walks the elements of a data set (PS3.5 chapter 7) and makes DICOM JSON of them."""

from __future__ import annotations

import sys
from base64 import b64encode
from struct import Struct, error
from typing import Any, Final, NamedTuple, TypeAlias

from fhirserver.dicom.character_set import CharacterSet, character_set, declared_in
from fhirserver.dicom.known import BRIEF, Element, Known
from fhirserver.dicom.transfer_syntax import Encoding
from fhirserver.dicom.unreadable import NeedMore, Unreadable
from fhirserver.dicom.values import BINARY, Convert, NoNumber, converters, little_endian
from fhirserver.dicom.vr import (
    LONG,
    PIXEL_REPRESENTATION,
    SHORT,
    implicit_vr,
)

Dataset: TypeAlias = dict[str, Any]

BULK: Final = "bulkdata/"
_UNDEFINED: Final = 0xFFFFFFFF
_PIXEL_DATA: Final = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_CHARACTER_SET: Final = 0x00080005
_TELLING: Final = frozenset((_CHARACTER_SET, PIXEL_REPRESENTATION))  # how others are read
_FIRST_PIXELS: Final = 0x7FE00000
_UTF8: Final = {"vr": "CS", "Value": ["ISO_IR 192"]}

# Bounds: what a header may cost, whoever sends it.
_DEPTH: Final = 48  # sequences in sequences
_ELEMENTS: Final = 500_000
_INLINE: Final = 1024  # bytes of a binary value that still stand in the JSON
_LONG_TEXT: Final = 65_536  # bytes of any other value that do
_VALUES: Final = 32 * 2**20  # bytes of values in all
_WORTH: Final = 256  # bytes of known elements from which on it pays to remember their order

_CONVERTERS: Final = {little: converters(little=little) for little in (True, False)}
_SHORT_VRS: Final = {vr: vr.decode() for vr in SHORT}
_LONG_VRS: Final = {vr: vr.decode() for vr in LONG}


class Place(NamedTuple):
    """Where a value lies, in bytes from the start of the data set. `length` None: undefined."""

    vr: str
    start: int
    length: int | None


class _Level:
    """One data set, of the top or of an item, as far as it is read."""

    __slots__ = ("at", "dataset", "depth", "explicit", "in_order", "last", "path", "set", "signed")

    def __init__(
        self, explicit: bool, set: CharacterSet, signed: bool, depth: int = 0, path: str = ""
    ) -> None:
        self.dataset: Dataset = {}
        self.at = 0  # the element being read; all before it are in `dataset`
        self.explicit = explicit
        self.set = set
        self.signed = signed
        self.depth = depth
        self.path = path
        self.last = -1
        self.in_order = True

    def finished(self) -> Dataset:
        """In ascending order, as F.2.2 wants it; most come so."""
        return self.dataset if self.in_order else dict(sorted(self.dataset.items()))


class Reader:
    """Reads one data set, once. `header.read_header` tells what of."""

    def __init__(
        self,
        data: bytes | bytearray | memoryview,
        start: int,
        encoding: Encoding,
        *,
        whole: bool,
        assumed: tuple[str, ...],
        known: Known | None = None,
    ) -> None:
        self._data = data
        self._start = start
        self._size = len(data)
        self._whole = whole
        self._little = encoding.little
        order = "<" if encoding.little else ">"
        self._explicit_head = Struct(f"{order}HH2sH").unpack_from
        self._implicit_head = Struct(f"{order}HHI").unpack_from
        self._long = Struct(f"{order}I").unpack_from
        self._convert = _CONVERTERS[encoding.little]
        self._assumed = assumed
        self._known = known if encoding.little else None
        self._top = _Level(encoding.explicit, character_set(assumed), signed=False)
        self._top.at = start
        self._elements = 0
        self._bytes = 0
        self.pixel_data: int | None = None
        self.pixels: Place | None = None
        self.bulk: dict[str, Place] = {}

    def read(self) -> Dataset:
        """The data set up to its pixel data. Raises `NeedMore`, `Unreadable`.

        After `NeedMore` it may be called again, when `go_on` has given it more.
        """
        level = self._top
        self._read_elements(level, level.at, self._size if self._whole else sys.maxsize)
        if self._assumed and "00080005" not in level.dataset:
            level.dataset["00080005"] = _UTF8
            level.in_order = False
        return level.finished()

    @property
    def read_to(self) -> int:
        """Up to here the bytes are done with; this may be beyond those that are there."""
        return self._top.at

    @property
    def base(self) -> int:
        """Where in the data set the bytes that are there begin."""
        return -self._start

    def go_on(self, data: bytes, *, whole: bool) -> None:
        """Puts `data` in place of the bytes from `read_to` on."""
        self._start -= self._top.at
        self._top.at = 0
        self._data = data
        self._size = len(data)
        self._whole = whole

    def _read_elements(self, level: _Level, at: int, end: int, *, delimited: bool = False) -> int:
        """Reads what an item or the top holds. The place behind it."""
        head = self._explicit_element if level.explicit else self._implicit_element
        while at < end:
            if self._known is not None and level.explicit:
                at = self._read_known(level, at, end, self._known)
                if at >= end:
                    break
            level.at = at
            tag, vr, length, value = head(at, level)
            if tag == _ITEM_END and delimited:
                return value
            if tag in _PIXEL_DATA and not level.depth:
                self._end_at_pixels(level, tag, vr, at, value, length)
                return end
            self._elements += 1
            self._check_size()
            if tag <= level.last:
                level.in_order = False
            level.last = tag
            if vr == "SQ" or length == _UNDEFINED:
                at = self._read_long(level, tag, vr, value, length, end)
                continue
            at = value + length
            if at > self._size and not (self._may_skip(level, vr, length)):
                raise self._short(at)
            if at > end:
                raise Unreadable("An element is longer than the item that it is in.")
            if tag & 0xFFFF:  # group lengths are left out: F.2.2
                self._read_value(level, tag, vr, value, length)
        level.at = at
        if delimited:
            raise Unreadable("An item of undefined length has no end.")
        self._check_size()
        return at

    def _check_size(self) -> None:
        if self._elements > _ELEMENTS or self._bytes > _VALUES:
            raise Unreadable("The header is larger than this server takes.")

    def _read_known(self, level: _Level, at: int, end: int, known: Known) -> int:
        """Reads on while elements are known; the place of the first that is not.

        Only those with a length of two bytes are: the same bytes are always the same element.
        """
        codec = level.set.codec
        elements, runs = known.of(codec), known.runs(codec)
        data, dataset, last = bytes(self._data), level.dataset, level.last
        start = single = at  # since `single`, each element was looked for by itself
        count, limit = 0, min(end, self._size)
        while at <= limit - 8:
            stop = at + 8 + (data[at + 6] | data[at + 7] << 8)
            run = runs.get(data[at:stop])
            if run is not None and run.first > last and data.startswith(run.whole, at, limit):
                self._follow(known, codec, data[single:at])
                dataset.update(run.dataset)
                single = at = at + len(run.whole)
                last, count = run.last, count + len(run.dataset)
                continue
            found = elements.get(data[at:stop])
            if found is None or stop > limit:
                break
            tag, name, attribute = found
            dataset[name] = attribute
            if tag <= last:
                level.in_order = False
            last, at, count = tag, stop, count + 1
        self._follow(known, codec, data[single:at])
        level.last = last
        self._elements += count
        self._bytes += at - start - 8 * count
        return at

    @staticmethod
    def _follow(known: Known, codec: str, whole: bytes) -> None:
        if len(whole) >= _WORTH:
            known.follow(codec, whole)

    def _explicit_element(self, at: int, level: _Level) -> tuple[int, str, int, int]:
        """Tag, VR, length and place of the value."""
        try:
            group, number, raw, length = self._explicit_head(self._data, at)
            vr = _SHORT_VRS.get(raw)
            if vr is not None:
                return group << 16 | number, vr, length, at + 8
            vr = _LONG_VRS.get(raw)
            if vr is None and (not raw.isalpha() or group == 0xFFFE):
                return self._implicit_element(at, level)
            (length,) = self._long(self._data, at + 8)
        except error:
            raise self._short(at + 12) from None
        tag = group << 16 | number
        if vr == "UN" and not group & 1 and length <= _LONG_TEXT:
            return tag, self._known_vr(tag, level), length, at + 12
        return tag, vr or "UN", length, at + 12

    def _implicit_element(self, at: int, level: _Level) -> tuple[int, str, int, int]:
        try:
            group, number, length = self._implicit_head(self._data, at)
        except error:
            raise self._short(at + 8) from None
        tag = group << 16 | number
        vr = "" if group == 0xFFFE else implicit_vr(tag, signed=level.signed)
        return tag, vr, length, at + 8

    def _known_vr(self, tag: int, level: _Level) -> str:
        """The VR of an element that somebody on the way did not know (PS3.5 6.2.2)."""
        vr = implicit_vr(tag, signed=level.signed)
        return vr if self._little and vr in self._convert else "UN"

    def _may_skip(self, level: _Level, vr: str, length: int) -> bool:
        """Whether the value may be missing, since only its place will be told."""
        if self._whole or level.depth:
            return False
        return length > (_INLINE if vr in BINARY else _LONG_TEXT)

    def _read_value(self, level: _Level, tag: int, vr: str, at: int, length: int) -> None:
        name = f"{tag:08X}"
        if not length:
            level.dataset[name] = _UTF8 if tag == _CHARACTER_SET else {"vr": vr}
            self._remember(level, tag, at, length)
            return
        convert = self._convert.get(vr)
        if convert is None or length > _LONG_TEXT:
            level.dataset[name] = self._binary(level, name, vr, at, length)
            return
        value = bytes(self._data[at : at + length])
        self._bytes += length
        if tag == _CHARACTER_SET:
            level.set = character_set(declared_in(value))
            level.dataset[name] = _UTF8
            return
        if tag == PIXEL_REPRESENTATION:
            level.signed = any(value)
        level.dataset[name] = self._attribute(level, name, vr, at, value, convert)
        self._remember(level, tag, at, length)

    def _remember(self, level: _Level, tag: int, at: int, length: int) -> None:
        """Keeps what was read for the next data set, if its bytes alone tell it."""
        if self._known is None or length > BRIEF or tag in _TELLING or tag >= _FIRST_PIXELS:
            return
        whole = bytes(self._data[level.at : at + length])
        name = f"{tag:08X}"
        attribute = level.dataset[name]
        if level.explicit and whole[4:6] in _SHORT_VRS and "BulkDataURI" not in attribute:
            self._known.add(level.set.codec, whole, Element(tag, name, attribute))

    def _attribute(
        self, level: _Level, name: str, vr: str, at: int, value: bytes, convert: Convert
    ) -> dict[str, Any]:
        try:
            values = convert(value, level.set)
        except NoNumber:
            return self._named(level, name, vr, at, len(value))
        return {"vr": vr} if values is None else {"vr": vr, "Value": values}

    def _binary(self, level: _Level, name: str, vr: str, at: int, length: int) -> dict[str, Any]:
        if length > _INLINE or vr not in BINARY:
            return self._named(level, name, vr, at, length)
        value = bytes(self._data[at : at + length])
        self._bytes += length
        if not self._little:
            value = little_endian(value, vr)
        return {"vr": vr, "InlineBinary": b64encode(value).decode("ascii")}

    def _named(
        self, level: _Level, name: str, vr: str, at: int, length: int | None
    ) -> dict[str, Any]:
        """An attribute whose value is got by its address (F.2.6)."""
        path = f"{level.path}{name}"
        self.bulk[path] = Place(vr, at - self._start, length)
        return {"vr": vr, "BulkDataURI": f"{BULK}{path}"}

    def _end_at_pixels(
        self, level: _Level, tag: int, vr: str, at: int, value: int, length: int
    ) -> None:
        self.pixel_data = at - self._start
        size = None if length == _UNDEFINED else length
        name = f"{tag:08X}"
        if size == 0:
            level.dataset[name] = {"vr": vr}
            return
        if self._whole and size is not None and value + size > self._size:
            raise self._short(value + size)
        level.dataset[name] = self._named(level, name, vr, value, size)
        self.pixels = self.bulk[name]

    def _read_long(self, level: _Level, tag: int, vr: str, at: int, length: int, end: int) -> int:
        """A sequence, or fragments of pixel data in an item. The place behind it."""
        name = f"{tag:08X}"
        if length != _UNDEFINED:
            if at + length > self._size:
                raise self._short(at + length)
            if at + length > end:
                raise Unreadable("A sequence is longer than the item that it is in.")
            end = at + length
        elif vr in ("OB", "OW") and tag in _PIXEL_DATA:
            level.dataset[name] = self._named(level, name, vr, at, None)
            return self._behind_fragments(at)
        elif vr not in ("SQ", "UN"):
            raise Unreadable("An element has no length that is none of a sequence.")
        if level.depth >= _DEPTH:
            raise Unreadable("Sequences are nested deeper than this server takes.")
        items, at = self._items(level, name, vr, at, end, delimited=length == _UNDEFINED)
        level.dataset[name] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
        return at

    def _items(
        self, level: _Level, name: str, vr: str, at: int, end: int, *, delimited: bool
    ) -> tuple[list[Dataset], int]:
        items: list[Dataset] = []
        explicit = level.explicit and vr == "SQ"  # UN of undefined length: PS3.5 6.2.2
        while at < end:
            tag, length = self._item(at)
            at += 8
            if tag == _SEQUENCE_END:
                if not delimited and at < end:
                    raise Unreadable("A sequence ends before its length.")
                return items, at
            if tag != _ITEM:
                raise Unreadable("There is something else than items in a sequence.")
            path = f"{level.path}{name}/{len(items) + 1}/"
            inner = _Level(explicit, level.set, level.signed, level.depth + 1, path)
            if length == _UNDEFINED:
                at = self._read_elements(inner, at, end, delimited=True)
            elif at + length > end:
                raise Unreadable("An item is longer than its sequence.")
            else:
                at = self._read_elements(inner, at, at + length)
            items.append(inner.finished())
        if delimited:
            raise Unreadable("A sequence of undefined length has no end.")
        return items, at

    def _item(self, at: int) -> tuple[int, int]:
        try:
            group, number, length = self._implicit_head(self._data, at)
        except error:
            raise self._short(at + 8) from None
        return group << 16 | number, length

    def _behind_fragments(self, at: int) -> int:
        while True:
            tag, length = self._item(at)
            at += 8
            if tag == _SEQUENCE_END:
                return at
            if tag != _ITEM or length == _UNDEFINED:
                raise Unreadable("There is something else than fragments in pixel data.")
            at += length

    def _short(self, size: int) -> Exception:
        if self._whole:
            return Unreadable("The data set ends before its last element does.")
        return NeedMore(size - self._start)
