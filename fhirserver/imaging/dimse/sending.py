"""C-STORE of instances that are kept: as they were stored, or uncompressed (PS3.4 B).

The bytes go from the blob to the socket piece by piece. Only where the peer did not accept the
transfer syntax of an instance, the data set is decoded, if there is a decoder for it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.presentation import PresentationContext, build_context

from fhirserver.archive.port import Held
from fhirserver.blobs.port import Blobs
from fhirserver.dicom.part10 import read_file_meta
from fhirserver.errors import FhirError, Unavailable
from fhirserver.imaging.dimse.contexts import UNCOMPRESSED
from fhirserver.imaging.dimse.session import Session

MOST_CONTEXTS: Final = 128
"""Of one association (PS3.8 9.3.2.2)."""

_HEAD: Final = 65_536 + 132
_MOST_DECODED: Final = 1 << 30
_QUEUED: Final = 16  # PDUs that wait in memory for the socket
_EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
FAILED: Final = 0xC000


class Refused(Exception):
    """No presentation context fits an instance, or it cannot be converted to one that does."""


def batches(instances: Sequence[Held]) -> Iterator[tuple[list[Held], list[PresentationContext]]]:
    """The instances by associations that have room for their contexts: for each SOP class one
    with each transfer syntax that is stored, and one uncompressed."""
    batch: list[Held] = []
    wanted: dict[tuple[str, ...], PresentationContext] = {}
    for held in instances:
        new: dict[tuple[str, ...], PresentationContext] = {}
        if held.transfer_syntax not in UNCOMPRESSED:
            pair = (held.sop_class, held.transfer_syntax)
            new[pair] = build_context(UID(held.sop_class), UID(held.transfer_syntax))
        new[(held.sop_class,)] = build_context(UID(held.sop_class), [UID(x) for x in UNCOMPRESSED])
        if len(wanted | new) > MOST_CONTEXTS:
            yield batch, list(wanted.values())
            batch, wanted = [], {}
        wanted |= new
        batch.append(held)
    if batch:
        yield batch, list(wanted.values())


def send(
    session: Session,
    association: Association,
    blobs: Blobs,
    held: Held,
    *,
    message: int,
    originator: tuple[str, int] | None = None,
) -> int:
    """Sends an instance; the status of the C-STORE. `originator` are the AE title and the
    message that asked for a C-MOVE.

    Raises `Refused`, `ConnectionError` when the association is over, and what `blobs` raise.
    """
    context, converts = _context_for(association, held)
    request = C_STORE()
    request.MessageID = message
    request.Priority = 2
    request.AffectedSOPClassUID = UID(held.sop_class)
    request.AffectedSOPInstanceUID = UID(held.instance)
    if originator is not None:
        request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID = originator
    with _file(session, blobs, held) as path:
        if converts:
            request.DataSet = BytesIO(_converted(path, held, context.transfer_syntax[0]))
        else:
            with path.open("rb") as file:
                start = read_file_meta(file.read(_HEAD), whole=False).start
            request._dataset_path = (path, start)
        return _exchange(association, context, request)


def _context_for(association: Association, held: Held) -> tuple[PresentationContext, bool]:
    """The accepted context for an instance, and whether it must be converted for that."""
    fitting = [
        context
        for context in association.accepted_contexts
        if context.abstract_syntax == held.sop_class and context.as_scu
    ]
    for context in fitting:
        if context.transfer_syntax[0] == held.transfer_syntax:
            return context, False
    for context in fitting:
        if context.transfer_syntax[0] in UNCOMPRESSED:
            return context, True
    raise Refused


@contextmanager
def _file(session: Session, blobs: Blobs, held: Held) -> Iterator[Path]:
    """The instance as a file: the blob itself, or a copy of one that is sealed or remote."""
    path = blobs.path(held.blob)
    if path is not None:
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".dcm") as copy:
        place = Path(copy.name)

        async def fill() -> None:
            async for chunk in blobs.read(held.blob):
                copy.write(chunk)

        session.wait(fill())
        copy.flush()
        yield place


def _converted(path: Path, held: Held, transfer_syntax: UID) -> bytes:
    """The data set in an uncompressed transfer syntax. Raises `Refused`."""
    if held.transfer_syntax == _EXPLICIT_BIG:
        raise Refused  # its pixels would have to be swapped; retired since 2006
    try:
        data = dcmread(path)
        if _decoded_size(data) > _MOST_DECODED:
            raise Refused
        if UID(held.transfer_syntax).is_compressed and held.transfer_syntax != _DEFLATED:
            data.decompress(generate_instance_uid=False)
        written = encode(data, transfer_syntax.is_implicit_VR, True, False)
    except Refused:
        raise
    except Exception as error:  # whatever a decoder raises for pixels that it cannot read
        raise Refused from error
    if written is None:
        raise Refused
    return written


_DEFLATED: Final = "1.2.840.10008.1.2.1.99"


def _decoded_size(data: Dataset) -> int:
    """Bytes of the decoded pixels, by what the header says."""
    sizes = ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "BitsAllocated")
    total = 1
    for name in sizes:
        total *= max(int(data.get(name) or 1), 1)
    return total // 8


def _exchange(association: Association, context: PresentationContext, request: C_STORE) -> int:
    """Sends the request and waits for its response."""
    association._reactor_checkpoint.clear()
    try:
        while not association._is_paused:
            _check(association)
            time.sleep(0.0001)
        message = C_STORE_RQ()
        message.primitive_to_message(request)
        assert context.context_id is not None
        for part in message.encode_msg(context.context_id, association.dimse.maximum_pdu_size):
            while association.dul.to_provider_queue.qsize() >= _QUEUED:
                _check(association)
                time.sleep(0.0005)
            association.dul.send_pdu(part)
        _, response = association.dimse.get_msg(block=True)
    finally:
        association._reactor_checkpoint.set()
    if not isinstance(response, C_STORE) or response.Status is None:
        raise ConnectionError("The peer did not answer.")
    return int(response.Status)


def _check(association: Association) -> None:
    if not association.is_established or not association.dul.is_alive():
        raise ConnectionError("The association is over.")


def is_failure(status: int) -> bool:
    """Whether a C-STORE did not store: warnings (B000, B006, B007) did."""
    return status != 0 and not 0xB000 <= status <= 0xBFFF


def outcome(
    session: Session,
    association: Association,
    blobs: Blobs,
    held: Held,
    *,
    message: int,
    originator: tuple[str, int] | None = None,
) -> int:
    """As `send`, with a failure status for what only this instance fails of."""
    try:
        return send(session, association, blobs, held, message=message, originator=originator)
    except Refused:
        return FAILED
    except Unavailable:
        raise
    except (FhirError, FileNotFoundError):  # it was deleted meanwhile, or altered
        return FAILED
