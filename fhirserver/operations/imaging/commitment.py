"""dicom-commitment: which instances are safely kept (PS3.4 annex J).

Safe is what has a row and a blob whose bytes have the digest of the row: all of it is read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from fhirserver.archive.port import Archive, Held
from fhirserver.audit.imaging import StudyAccess
from fhirserver.blobs.port import Blobs
from fhirserver.errors import FhirError, Unavailable
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.operations.imaging.visible import access, archive_of, may_read

PROCESSING_FAILURE: Final = 0x0110
NO_SUCH_INSTANCE: Final = 0x0112
CLASS_CONFLICT: Final = 0x0119
"""Failure reasons of the report (PS3.3 C.14.1.1)."""


@dataclass(frozen=True, slots=True)
class Referenced:
    """The instances that are asked about: (SOP Class UID, SOP Instance UID).

    `sender` is the AE title of who asks: what it sent itself, it may ask about at once.
    """

    instances: tuple[tuple[str, str], ...]
    sender: str


@dataclass(frozen=True, slots=True)
class Committed:
    """Those that are safe, and the others with the reason of each."""

    safe: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, str, int], ...]


async def run(context: Context, request: Request) -> Answer:
    """200 with what is `Committed` of the `Referenced`. Raises `Unavailable`, `NotSupported`."""
    asked, archive = request.imaging, archive_of(context)
    assert isinstance(asked, Referenced) and context.blobs is not None
    held = {one.instance: one for one in await archive.held_by_uid([b for _, b in asked.instances])}
    shown = await _shown(context, archive, tuple(held.values()), asked.sender)
    safe: list[tuple[str, str]] = []
    failed: list[tuple[str, str, int]] = []
    for sop_class, instance in asked.instances:
        one = held.get(instance)
        reason = 0
        if one is None or one.study not in shown:
            reason = NO_SUCH_INSTANCE
        elif one.sop_class != sop_class:
            reason = CLASS_CONFLICT
        elif not await _is_whole(context.blobs, one):
            reason = PROCESSING_FAILURE
        if reason:
            failed.append((sop_class, instance, reason))
        else:
            safe.append((sop_class, instance))
    return Answer(200, imaging=Committed(tuple(safe), tuple(failed)), studies=tuple(shown.values()))


async def _shown(
    context: Context, archive: Archive, held: tuple[Held, ...], sender: str
) -> dict[str, StudyAccess]:
    """The studies of instances that the caller sent, or may see."""
    found: dict[str, StudyAccess] = {}
    for uid in dict.fromkeys(one.study for one in held):
        study = await archive.study(uid)
        if study is None:
            continue
        of_study = [one for one in held if one.study == uid]
        is_own = bool(sender) and all(one.source.aet == sender for one in of_study)
        if is_own or await may_read(context, study):
            found[uid] = access(uid, study.imaging_study, study.subject, len(of_study))
    return found


async def _is_whole(blobs: Blobs, held: Held) -> bool:
    digest = hashlib.sha256()
    try:
        async for chunk in blobs.read(held.blob):
            digest.update(chunk)
    except Unavailable:
        raise
    except FhirError:  # it is not there, or was altered
        return False
    return digest.hexdigest() == held.blob
