"""dicom-retrieve: which instances are sent, once it is clear that the caller may have them.

PS3.18 10.4 (WADO-RS), PS3.4 C.4.2 and C.4.3 (C-MOVE, C-GET), C.6.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence

from fhirserver.archive.port import Archive, Held
from fhirserver.archive.query import Retrieved, Wanted
from fhirserver.audit.imaging import StudyAccess
from fhirserver.errors import Gone, NotFound
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.operations.imaging.visible import access, archive_of, may_read


async def run(context: Context, request: Request) -> Answer:
    """200 with a `Retrieved` for what is `Wanted`.

    Raises `NotFound` where nothing of it is there or may be seen, `Gone` where it was deleted,
    `NotSupported` without an archive.
    """
    wanted, archive = request.imaging, archive_of(context)
    assert isinstance(wanted, Wanted) and context.blobs is not None
    if wanted.study is None:
        held = await archive.held_by_uid(wanted.instances)
    else:
        held = await archive.held(wanted.study, wanted.series, wanted.instances)
    counts = Counter(item.study for item in held)
    studies = [await _readable(context, archive, uid, count) for uid, count in counts.items()]
    shown = {study.uid: study for study in studies if study is not None}
    held = tuple(item for item in held if item.study in shown)
    if not held:
        await _refuse(context, archive, wanted, bool(counts))

    def headers() -> AsyncIterator[tuple[Held, bytes]]:
        return _headers(archive, tuple(shown), wanted)

    return Answer(
        200, imaging=Retrieved(held, headers, context.blobs), studies=tuple(shown.values())
    )


async def _readable(
    context: Context, archive: Archive, uid: str, instances: int
) -> StudyAccess | None:
    """The study as the trail names it, None where the caller may not see it."""
    study = await archive.study(uid)
    if study is None or not await may_read(context, study):
        return None
    return access(uid, study.imaging_study, study.subject, instances)


async def _refuse(context: Context, archive: Archive, wanted: Wanted, hidden: bool) -> None:
    """Raises `Gone` to who may know of it, else `NotFound`."""
    if wanted.study is not None and not hidden:
        study = await archive.study(wanted.study)
        if study is not None and await may_read(context, study):
            series = wanted.series[0] if len(wanted.series) == 1 else None
            instance = wanted.instances[0] if len(wanted.instances) == 1 else None
            if await archive.was_deleted(wanted.study, series, instance):
                raise Gone("These instances were deleted.")
    raise NotFound("There are no such instances.")


async def _headers(
    archive: Archive, studies: Sequence[str], wanted: Wanted
) -> AsyncIterator[tuple[Held, bytes]]:
    for study in studies:
        async for item in archive.headers(study, wanted.series, wanted.instances):
            yield item
