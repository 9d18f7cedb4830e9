"""DICOMweb over the real gate, store, archive and blobs, and instances to store."""

from __future__ import annotations

import asyncio
import io
import secrets
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pydicom.data
from pydicom.uid import generate_uid
from rest.exchange import Response, call

from fhirserver.access.authority import Authority
from fhirserver.access.grant import OPEN, Grant
from fhirserver.app.ids import new_id, now
from fhirserver.archive.opening import open_archive
from fhirserver.archive.port import Archive
from fhirserver.blobs.port import Blobs
from fhirserver.blobs.store import open_blobs
from fhirserver.definitions.packaged import packaged
from fhirserver.imaging.dicomweb.application import DicomWeb
from fhirserver.imaging.rendering.processes import Processes
from fhirserver.interactions.context import Context, Policy
from fhirserver.interactions.dispatch import Gate
from fhirserver.interactions.request import Answer, Request
from fhirserver.interactions.seal import AesSealer
from fhirserver.operations.imaging.table import IMAGING_ROWS
from fhirserver.rest.application import Edge
from fhirserver.rest.base_url import BaseUrl
from fhirserver.rest.cors import Cors
from fhirserver.search.index import Indexer
from fhirserver.store.sqlite import SqliteStore

FILES = Path(pydicom.data.__file__).parent / "test_files"
DICOM = "application/dicom"


@dataclass
class House:
    """`web` is the edge; `grant` is what every sender of a request may do."""

    archive: Archive
    blobs: Blobs
    gate: Gate
    processes: Processes
    web: Any = None
    grant: Grant = OPEN
    asked: list[Request] | None = None

    async def __call__(
        self, method: str, path: str, headers: Any = None, body: Any = b"", **scope: Any
    ) -> Response:
        return await call(self._stays, method, f"/dicom-web{path}", headers, body, **scope)

    async def _stays(self, scope: Any, receive: Any, send: Any) -> None:
        """The edge, for a client that waits for the whole answer."""

        async def more() -> Any:
            message = await receive()
            if message["type"] == "http.disconnect":
                await asyncio.Event().wait()
            return message

        await self.web(scope, more, send)

    async def store(self, *instances: bytes, study: str = "") -> Response:
        headers, body = parts(*instances)
        return await self("POST", f"/studies{'/' if study else ''}{study}", headers, body)


@asynccontextmanager
async def house(folder: Path, processes: Processes, **options: Any) -> AsyncIterator[House]:
    """The service over a folder."""
    definitions = packaged()
    store = SqliteStore.open(folder / "fhir.db", clock=now)
    blobs = open_blobs((folder / "blobs").as_uri(), folder / "blobs" / "spool")
    archive = await open_archive(folder / "imaging.db", tenant="default", clock=now)
    access = Authority(store, store.records, now)
    await access.load()
    context = Context(
        store=store,
        definitions=definitions,
        indexer=Indexer(definitions),
        policy=Policy(),
        sealer=AesSealer(bytes(32), now=now, random=secrets.token_bytes),
        now=now,
        new_id=new_id,
        access=access,
        archive=archive,
        blobs=blobs,
    )
    made = House(archive, blobs, Gate(context, imaging=IMAGING_ROWS), processes, asked=[])

    async def dispatch(request: Request) -> Answer:
        assert made.asked is not None
        made.asked.append(request)
        return await made.gate.dispatch(request)

    async def authenticate(headers: Any, method: str, url: str) -> Grant:
        return made.grant

    edge = Edge(BaseUrl("/fhir"), cors=Cors(frozenset({"https://viewer.example.org"})))
    made.web = DicomWeb(dispatch, blobs, edge, "", processes, now, authenticate, **options)
    try:
        yield made
    finally:
        await archive.close()
        await blobs.close()
        await store.close()


def file(name: str) -> Path:
    """One of pydicom's files."""
    return next(FILES.rglob(name))


def read(name: str) -> pydicom.FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(file(name))


def written(dataset: pydicom.Dataset) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def instance(name: str = "CT_small.dcm", **attributes: Any) -> bytes:
    """A file with other attributes, and a SOP Instance UID of its own unless one is given."""
    dataset = read(name)
    attributes.setdefault("SOPInstanceUID", generate_uid())
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return written(dataset)


def opened(data: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(data))


def address(data: bytes) -> str:
    found = opened(data)
    return (
        f"/studies/{found.StudyInstanceUID}/series/{found.SeriesInstanceUID}"
        f"/instances/{found.SOPInstanceUID}"
    )


def parts(*instances: bytes, type: str = DICOM) -> tuple[dict[str, str], bytes]:
    """Headers and body of a request to store."""
    body = b"".join(
        b"--b\r\nContent-Type: " + type.encode() + b"\r\n\r\n" + one + b"\r\n" for one in instances
    )
    return {"Content-Type": f'multipart/related; type="{type}"; boundary=b'}, body + b"--b--"


def parts_of(response: Response) -> list[tuple[dict[str, str], bytes]]:
    """The parts of an answer."""
    import email
    from email.policy import HTTP

    head = f"Content-Type: {response.headers['content-type']}\r\n\r\n".encode()
    found = email.message_from_bytes(head + response.body, policy=HTTP)
    made = []
    boundary = b"\r\n--" + str(found.get_boundary()).encode()
    for part in response.body.split(boundary)[1:-1]:
        lines, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        fields = [line.partition(": ") for line in lines.decode().split("\r\n")]
        made.append(({name.lower(): value for name, _, value in fields}, content))
    return made
