"""ImagingStudy/$de-identify: a copy of a study that names nobody, as a new study of the archive.

PS3.15 Annex E (`fhirserver.dicom.deidentification`). The copy has UIDs, patient id and dates of
its own, which stay the same whenever it is made again with the tenant's key, so that a second
run adds nothing. Who may do it is the policies' to say (`operations`); it is recorded as an
export. The ImagingStudy of the copy follows as that of any study does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Final

import msgspec

from fhirserver.access.grant import SERVER
from fhirserver.archive.port import NOWHERE, Held
from fhirserver.archive.query import Retrieved, Wanted
from fhirserver.audit.recorder import Event
from fhirserver.dicom.deidentification import pixels
from fhirserver.dicom.deidentification.options import Dates, Options
from fhirserver.dicom.header import read_header
from fhirserver.dicom.identity import identity_of
from fhirserver.dicom.mapping.issuers import DICOM_UID
from fhirserver.dicom.part10 import read_file_meta, written_file_meta
from fhirserver.dicom.pixels import Pixels, decoded_pixels
from fhirserver.errors import Fault, Invalid, NotFound, Unprocessable
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Resource, decode
from fhirserver.operations.arguments import Arguments, arguments
from fhirserver.operations.imaging.store import Begin, Received, Transfer
from fhirserver.operations.parameters import Out, parameters

if TYPE_CHECKING:
    from fhirserver.blobs.port import Blobs

URL: Final = "urn:uuid:6f0b1f0e-8a55-4b35-9f3a-2f1c6f7d5a10"

_LARGEST: Final = 128 * 2**20
"""Bytes that are held in memory while they are changed: what stands before the pixels, or all of
an instance that is deflated or has none."""
_BEGINNING: Final = 4096  # bytes of the element of pixels, by which the header knows it
_DELIMITER: Final = b"\xfe\xff\xdd\xe0"
_ITEM: Final = b"\xfe\xff\x00\xe0"

_RETAIN: Final = {
    "patient-characteristics": "patient",
    "device-identity": "device",
    "institution-identity": "institution",
}
_DATES: Final[dict[str, Dates]] = {"removed": "removed", "shifted": "shifted", "kept": "kept"}


async def run(context: Context, request: Request) -> Answer:
    """200 with Parameters: the UID of the copy, its ImagingStudy, how many instances it has.

    Raises `NotFound` for a study that the caller may not see, `Unprocessable` where an instance
    may show in its pixels who it is, or is too large; nothing is copied then.
    """
    asked = arguments(context, request, URL)
    options, unknown = _options(asked), asked.one("unknown-pixels") is True
    if context.pseudonyms is None or context.blobs is None:
        raise Fault("This server keeps no DICOM instances.")
    resource = await _imaging_study(context, request.id or "")
    found = await _retrieved(context, request, _study_uid(resource))
    async for held, header in found.headers():
        pixels.refuse(msgspec.json.decode(header), unknown=unknown)
        if _held_size(held) > _LARGEST:
            raise Unprocessable("An instance is too large to be de-identified here.")
    await _record(context, request, resource)
    copy = _Copying(context, found.blobs, options, await context.pseudonyms())
    return _answer(await copy.run(found.instances, request.base))


class _Copying:
    """Copies instances into the one study that their pseudonyms make."""

    def __init__(self, context: Context, blobs: Blobs, options: Options, key: bytes) -> None:
        self._context = context
        self._blobs = blobs
        self._options = options
        self._key = key

    async def run(self, instances: Sequence[Held], base: str) -> Transfer:
        """The transfer of the copies, ended; what was added before an error stays."""
        transfer: Transfer | None = None
        request = Request("dicom-begin", base, "ImagingStudy", grant=SERVER)
        try:
            for held in instances:
                received = await self._one(held)
                if transfer is None:
                    begun = replace(request, id=received.identity.study, imaging=Begin(NOWHERE))
                    transfer = _transfer(await self._context.dispatch(begun))
                await transfer.add([received])
        finally:
            if transfer is not None:
                ended = replace(
                    request, interaction="dicom-store", id=transfer.study, imaging=transfer
                )
                await self._context.dispatch(ended)
        if transfer is None:
            raise NotFound("The study has no instances.")
        return transfer

    async def _one(self, held: Held) -> Received:
        place = decoded_pixels(held.frames)
        if place is not None:
            return await self._with_pixels(held, place)
        file = await self._blobs.get(held.blob)
        file, start = await asyncio.to_thread(changed, file, self._options, self._key)
        header = read_header(file, held.transfer_syntax, start=start)
        stored = await self._blobs.put(file)
        identity = identity_of(header)
        return Received(stored, header, identity, held.transfer_syntax, start, self._context.now())

    async def _with_pixels(self, held: Held, place: Pixels) -> Received:
        """Its pixels go from blob to blob as they are; what stands behind them goes."""
        source = await self._blobs.get(held.blob, 0, place.element)
        front, start = await asyncio.to_thread(changed, source, self._options, self._key)
        end = await self._end(held, place)
        first = await self._blobs.get(
            held.blob, place.element, min(end, place.element + _BEGINNING)
        )
        header = read_header(front + first, held.transfer_syntax, whole=False, start=start)
        async with self._blobs.writing() as blob:
            await blob.write(front)
            async for piece in self._blobs.read(held.blob, place.element, end):
                await blob.write(piece)
            stored = await blob.commit()
        identity = identity_of(header)
        return Received(stored, header, identity, held.transfer_syntax, start, self._context.now())

    async def _end(self, held: Held, place: Pixels) -> int:
        """Where the element of pixels ends: compressed ones, by going from item to item."""
        if place.length is not None:
            return place.value + place.length
        at = place.value
        while at + 8 <= held.size:
            head = await self._blobs.get(held.blob, at, at + 8)
            at += 8 + int.from_bytes(head[4:], "little")
            if head[:4] == _DELIMITER:
                return at
            if head[:4] != _ITEM:
                break
        raise Unprocessable("The pixels of an instance are not in order.")


def _held_size(held: Held) -> int:
    place = decoded_pixels(held.frames)
    return held.size if place is None else place.element


def changed(file: bytes, options: Options, key: bytes) -> tuple[bytes, int]:
    """A DICOM file de-identified, and where its data set begins; it may end before its pixels."""
    from pydicom import dcmread
    from pydicom.filewriter import dcmwrite

    from fhirserver.dicom.deidentification.data_set import deidentify

    data = dcmread(BytesIO(file))
    deidentify(data, options, key)
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    out = BytesIO()
    dcmwrite(out, data, enforce_file_format=False)
    written = out.getvalue()
    meta = read_file_meta(written)
    head = written_file_meta(str(data.SOPClassUID), str(data.SOPInstanceUID), meta.transfer_syntax)
    return head + written[meta.start :], len(head)


def _options(asked: Arguments) -> Options:
    kept = {str(value) for value in asked.all("retain")}
    unknown = sorted(kept - set(_RETAIN))
    if unknown:
        raise Invalid(f"retain is one of {', '.join(_RETAIN)}; not '{unknown[0][:64]}'.")
    dates = _DATES.get(str(asked.one("dates") or "removed"))
    if dates is None:
        raise Invalid(f"dates is one of {', '.join(_DATES)}.")
    return Options(
        dates=dates,
        descriptors=asked.one("clean-descriptors") is True,
        **{name: value in kept for value, name in _RETAIN.items()},
    )


async def _imaging_study(context: Context, id: str) -> Resource:
    version = await context.store.read("ImagingStudy", id)
    if version is None or version.body is None:
        raise NotFound(f"There is no ImagingStudy/{id}.")
    resource: Resource = decode(version.body)
    return resource


def _study_uid(resource: Resource) -> str:
    for identifier in resource.get("identifier", ()):
        if identifier.get("system") == DICOM_UID:
            return str(identifier.get("value", "")).removeprefix("urn:oid:")
    raise Unprocessable("The ImagingStudy has no Study Instance UID.")


async def _retrieved(context: Context, request: Request, uid: str) -> Retrieved:
    """The instances, by the gate: the caller must be allowed to have them."""
    answer = await context.dispatch(
        Request(
            "dicom-retrieve",
            request.base,
            "ImagingStudy",
            uid,
            imaging=Wanted(study=uid),
            grant=request.grant,
            origin=request.origin,
        )
    )
    assert isinstance(answer.imaging, Retrieved)
    return answer.imaging


def _transfer(answer: Answer) -> Transfer:
    assert isinstance(answer.imaging, Transfer)
    return answer.imaging


async def _record(context: Context, request: Request, resource: Resource) -> None:
    if context.recorder is None:
        return
    patient = str(resource.get("subject", {}).get("reference", "")).rpartition("/")[2] or None
    await context.recorder.record(
        Event(
            "export",
            principal=request.grant.principal,
            patient=patient,
            about=(f"ImagingStudy/{resource['id']}",),
            reason="de-identified copy",
            origin=request.origin,
        )
    )


def _answer(transfer: Transfer) -> Answer:
    return parameters(
        Out("study", "valueUri", f"urn:oid:{transfer.study}"),
        Out("imagingStudy", "valueReference", {"reference": f"ImagingStudy/{transfer.study}"}),
        Out("instances", "valueUnsignedInt", transfer.stored),
    )
