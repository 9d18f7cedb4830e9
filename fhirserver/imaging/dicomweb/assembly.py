"""Instances that come as metadata, with their bulk data in parts of their own (PS3.18, 10.5.2).

A bulk datum is told by its Content-Location, which is the BulkDataURI of the metadata; frames that
are compressed, by that and `/frames/{number}`, or one after the other. Pixels go on to the blob
store as they come, when all else of their instance is there; what has to wait is held in
memory, within bounds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from fhirserver.dicom.identity import Identity
from fhirserver.dicom.transfer_syntax import EXPLICIT_LITTLE
from fhirserver.dicom.unreadable import Unreadable
from fhirserver.errors import FhirError, Invalid, TooLarge
from fhirserver.imaging.dicomweb.accept import DICOM_JSON, DICOM_XML, OCTETS, content_type
from fhirserver.imaging.dicomweb.incoming import Incoming
from fhirserver.imaging.dicomweb.native_xml_reader import read_native_xml
from fhirserver.imaging.dicomweb.references import Reference, taken_out
from fhirserver.imaging.rendering.assemble import Assembled, Bulk, PixelElement, assembled
from fhirserver.imaging.rendering.processes import Processes
from fhirserver.imaging.rendering.syntaxes import ALIASES, MEDIA_TYPES

MAX_METADATA: Final = 16 * 2**20
"""Most bytes of metadata in one body."""

MAX_HELD: Final = 64 * 2**20
"""Most bytes of bulk data of one body that are held in memory."""

_FRAMES: Final = "/frames/"
_VIDEO: Final = "video/"
_ITEM: Final = b"\xfe\xff\x00\xe0"
_END: Final = b"\xfe\xff\xdd\xe0\0\0\0\0"
_ANY_JSON: Final = msgspec.json.Decoder(list[dict[str, Any]])

Finish = Callable[[Incoming], Awaitable[None]]
Fail = Callable[[Identity | None, FhirError], None]


class Assembly:
    """One body. `incoming` makes an instance to write to, `finish` stores it, `fail` takes down
    that one was not stored."""

    def __init__(
        self, processes: Processes, incoming: Callable[[], Incoming], finish: Finish, fail: Fail
    ) -> None:
        self.processes = processes
        self.incoming = incoming
        self.finish = finish
        self.fail = fail
        self._instances: list[Assembling] = []
        self._wanted: dict[str, list[tuple[Assembling, Reference]]] = {}
        self._metadata = 0
        self._held = 0

    def part(self, headers: Mapping[str, str]) -> DocumentPart | BulkPart | None:
        """What takes a part in; None for one that nothing refers to."""
        kind = content_type(headers.get("content-type", OCTETS).encode("latin-1"))
        type = kind.type if kind is not None else OCTETS
        if type in (DICOM_JSON, DICOM_XML):
            return DocumentPart(self, is_xml=type == DICOM_XML)
        location = headers.get("content-location", "")
        found = self._wanted.get(location)
        if found is None and _FRAMES in location:
            found = self._wanted.get(location.rpartition(_FRAMES)[0])
        if not found:
            return None
        named = kind.parameters.get("transfer-syntax", "") if kind is not None else ""
        return BulkPart(self, found, ALIASES.get(type, type), named)

    def weigh(self, size: int) -> None:
        """Raises `TooLarge` where more metadata come than are taken."""
        self._metadata += size
        if self._metadata > MAX_METADATA:
            raise TooLarge(f"Metadata have {MAX_METADATA} bytes at the most: send fewer at once.")

    def hold(self, size: int) -> None:
        """Raises `TooLarge` where more would be held in memory than may be."""
        if self._held + size > MAX_HELD:
            raise TooLarge("Send the other bulk data of an instance before its pixels.")
        self._held += size

    def let_go(self, size: int) -> None:
        """So many bytes are no longer held."""
        self._held -= size

    async def add(self, document: bytes, *, is_xml: bool) -> None:
        """Metadata, whole. Raises `Invalid` where they cannot be read at all."""
        try:
            objects = [read_native_xml(document)] if is_xml else _ANY_JSON.decode(document)
        except (msgspec.DecodeError, RecursionError):
            raise Invalid("The metadata are no array of DICOM JSON objects.") from None
        for attributes in objects:
            try:
                references = taken_out(attributes)
            except Unreadable as error:
                self.fail(None, error)
                continue
            one = Assembling(self, attributes, references)
            self._instances.append(one)
            for reference in references:
                self._wanted.setdefault(reference.uri, []).append((one, reference))
            if not references:
                await one.whole()

    async def end(self) -> None:
        """The body ended: what still waits for bulk data has failed."""
        for one in self._instances:
            await one.broken(Unreadable("Bulk data of the instance are missing."))

    async def abort(self) -> None:
        """Gives up what is not finished."""
        for one in self._instances:
            await one.abort()


class Assembling:
    """One instance. Whatever fails ends it, and it alone."""

    def __init__(
        self, assembly: Assembly, attributes: dict[str, Any], references: list[Reference]
    ) -> None:
        self._assembly = assembly
        self._attributes = attributes
        self._missing = {one.path for one in references if not one.is_pixels}
        self._pixels = next((one for one in references if one.is_pixels), None)
        self._bulk: list[Bulk] = []
        self._frames: list[tuple[bytes, str]] = []
        self._incoming: Incoming | None = None
        self._made: Assembled | None = None
        self._count = 0
        self._written = 0
        self._syntax = ""
        self.is_over = False

    @property
    def is_ready(self) -> bool:
        """Whether only pixels are missing."""
        return not self._missing

    async def fill(self, reference: Reference, value: bytes) -> None:
        """A bulk datum that is not the pixels."""
        if self.is_over or reference.path not in self._missing:
            return
        self._missing.discard(reference.path)
        self._bulk.append(Bulk(reference.path, reference.vr, value))
        await self.whole()

    async def frame(self, value: bytes, syntax: str) -> None:
        """A compressed frame, or native pixels that have had to wait."""
        if self.is_over:
            self._assembly.let_go(len(value))
            return
        self._frames.append((value, syntax))
        await self.whole()

    async def whole(self) -> None:
        """Goes on as far as what is there allows."""
        try:
            if self._missing:
                return
            if self._pixels is None:
                await self._begin(EXPLICIT_LITTLE)
                await self._finish()
                return
            for value, syntax in self._taken():
                await self.begin(syntax)
                await self._frame(value, syntax)
        except FhirError as error:
            await self.broken(error)

    async def begin(self, syntax: str) -> None:
        """Writes what stands before the pixels. Raises a `FhirError`."""
        if self._made is None:
            await self._begin(syntax)
        if syntax != self._syntax:
            raise Unreadable("The frames of the instance have several transfer syntaxes.")

    async def native(self, data: bytes) -> None:
        """Some bytes of native pixels, after `begin`."""
        assert self._incoming is not None and self._made is not None
        self._written += len(data)
        if self._written > self._made.length + self._made.length % 2:
            raise Unreadable("There are more pixels than the metadata tell.")
        await self._incoming.write(data)

    async def native_end(self) -> None:
        """A part of native pixels ended: the last one, where they are all there."""
        assert self._incoming is not None and self._made is not None
        if self._written < self._made.length:
            return
        await self._incoming.write(bytes(self._made.length % 2 + self._made.length - self._written))
        await self._finish()

    async def broken(self, error: FhirError) -> None:
        """The instance cannot be stored."""
        if self.is_over:
            return
        self._assembly.fail(_identity(self._attributes), error)
        await self.abort()

    async def abort(self) -> None:
        self.is_over = True
        self._taken()
        self._assembly.let_go(sum(len(one.value) for one in self._bulk))
        self._bulk.clear()
        if self._incoming is not None:
            incoming, self._incoming = self._incoming, None
            await incoming.abort()

    def _taken(self) -> list[tuple[bytes, str]]:
        taken, self._frames = self._frames, []
        self._assembly.let_go(sum(len(value) for value, _ in taken))
        return taken

    async def _begin(self, syntax: str) -> None:
        pixels = None
        if self._pixels is not None:
            encapsulated = syntax != EXPLICIT_LITTLE
            pixels = PixelElement(int(self._pixels.path, 16), self._pixels.vr, encapsulated)
        bulk, self._bulk = self._bulk, []
        self._syntax = syntax
        self._made = await self._assembly.processes.run(
            assembled, self._attributes, bulk, syntax, pixels
        )
        self._assembly.let_go(sum(len(one.value) for one in bulk))
        self._incoming = self._assembly.incoming()
        await self._incoming.write(self._made.front)
        if pixels is not None and pixels.encapsulated:
            await self._incoming.write(_ITEM + bytes(4))  # no table of offsets

    async def _frame(self, value: bytes, syntax: str) -> None:
        if self.is_over:
            return
        if syntax == EXPLICIT_LITTLE:
            await self.native(value)
            await self.native_end()
            return
        assert self._incoming is not None
        value += bytes(len(value) % 2)
        await self._incoming.write(_ITEM + len(value).to_bytes(4, "little"))
        await self._incoming.write(value)
        self._count += 1
        if self._count == self._expected(syntax):
            await self._incoming.write(_END)
            await self._finish()

    def _expected(self, syntax: str) -> int:
        """How many parts the pixels have: of a video one, else one for each frame."""
        if MEDIA_TYPES.get(syntax, "").startswith(_VIDEO):
            return 1
        try:
            return int(self._attributes["00280008"]["Value"][0])
        except (KeyError, IndexError, TypeError, ValueError):
            return 1

    async def _finish(self) -> None:
        assert self._incoming is not None and self._made is not None
        await self._incoming.write(self._made.tail)
        incoming, self._incoming = self._incoming, None
        self.is_over = True
        await self._assembly.finish(incoming)


class DocumentPart:
    """Metadata, as they arrive."""

    def __init__(self, assembly: Assembly, *, is_xml: bool) -> None:
        self._assembly = assembly
        self._is_xml = is_xml
        self._data = bytearray()

    async def write(self, data: bytes) -> None:
        self._assembly.weigh(len(data))
        self._data += data

    async def end(self) -> None:
        data, self._data = bytes(self._data), bytearray()
        await self._assembly.add(data, is_xml=self._is_xml)

    async def abort(self) -> None:
        self._data.clear()


class BulkPart:
    """A bulk datum, as it arrives, for each instance that refers to it."""

    def __init__(
        self,
        assembly: Assembly,
        wanted: list[tuple[Assembling, Reference]],
        type: str,
        syntax: str,
    ) -> None:
        self._assembly = assembly
        self._wanted = [(one, reference) for one, reference in wanted if not one.is_over]
        self._syntax = _syntax(type, syntax)
        self._data = bytearray()
        self._is_too_large = False
        one, reference = self._wanted[0] if self._wanted else (None, None)
        is_straight = reference is not None and reference.is_pixels and one is not None
        is_straight = is_straight and len(self._wanted) == 1 and self._syntax == EXPLICIT_LITTLE
        self._straight = one if is_straight and one is not None and one.is_ready else None

    async def write(self, data: bytes) -> None:
        if self._straight is not None:
            try:
                await self._straight.begin(self._syntax)
                await self._straight.native(data)
            except FhirError as error:
                await self._straight.broken(error)
                self._straight, self._wanted = None, []
        elif self._wanted and not self._is_too_large:
            try:
                self._assembly.hold(len(data))
            except TooLarge as error:
                await self._give_up(error)
            else:
                self._data += data

    async def end(self) -> None:
        if self._straight is not None:
            try:
                await self._straight.begin(self._syntax)
                await self._straight.native_end()
            except FhirError as error:
                await self._straight.broken(error)
            return
        value, self._data = bytes(self._data), bytearray()
        if not self._wanted:
            self._assembly.let_go(len(value))
            return
        # Each holds it for itself, although they share it: the bound is the tighter.
        for index, (one, reference) in enumerate(self._wanted):
            try:
                if index:
                    self._assembly.hold(len(value))
            except TooLarge as error:
                await one.broken(error)
                continue
            if reference.is_pixels:
                await one.frame(value, self._syntax)
            else:
                await one.fill(reference, value)

    async def abort(self) -> None:
        self._assembly.let_go(len(self._data))
        self._data.clear()

    async def _give_up(self, error: TooLarge) -> None:
        self._is_too_large = True
        await self.abort()
        for one, _ in self._wanted:
            await one.broken(error)
        self._wanted = []


def _syntax(type: str, named: str) -> str:
    """The transfer syntax of pixels: as named, else the first one of the media type (8.7.3)."""
    if type == OCTETS:
        return EXPLICIT_LITTLE if named not in MEDIA_TYPES else named
    if MEDIA_TYPES.get(named) == type:
        return named
    return _USUAL.get(type, EXPLICIT_LITTLE)


_USUAL: Final = {
    "image/jpeg": "1.2.840.10008.1.2.4.70",
    "image/dicom-rle": "1.2.840.10008.1.2.5",
    "image/jls": "1.2.840.10008.1.2.4.80",
    "image/jp2": "1.2.840.10008.1.2.4.90",
    "image/jpx": "1.2.840.10008.1.2.4.92",
    "image/jphc": "1.2.840.10008.1.2.4.201",
    "image/jxl": "1.2.840.10008.1.2.4.110",
    "video/mpeg": "1.2.840.10008.1.2.4.100",
    "video/mp4": "1.2.840.10008.1.2.4.102",
}
"""PS3.18, table 8.7.3-2: the transfer syntax of a media type without a parameter."""


def _identity(attributes: dict[str, Any]) -> Identity | None:
    """Which instance failed, where the metadata tell."""
    try:
        study, series, instance, sop_class = (
            str(attributes[tag]["Value"][0])
            for tag in ("0020000D", "0020000E", "00080018", "00080016")
        )
    except (KeyError, IndexError, TypeError):
        return None
    return Identity(study, series, instance, sop_class)
