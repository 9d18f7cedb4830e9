"""dicom-delete: takes a study, a series or an instance out of the archive.

Not in DICOM; as the archives in use have it: DELETE on the resource of DICOMweb.
"""

from __future__ import annotations

from contextlib import suppress

from fhirserver.archive.freeing import delete_freed
from fhirserver.archive.query import Removal
from fhirserver.errors import Forbidden, Unavailable
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.operations.imaging.visible import access, archive_of


async def run(context: Context, request: Request) -> Answer:
    """204 with a `Deleted` for the `Removal`; the projection then corrects the ImagingStudy.

    Raises `Forbidden` to who may not delete whatever ImagingStudy there is, `NotFound`, `Gone`,
    and `NotSupported` without an archive.
    """
    removal, archive = request.imaging, archive_of(context)
    assert isinstance(removal, Removal)
    if "d" not in context.all_studies:
        raise Forbidden("Instances are deleted by those only who may delete any ImagingStudy.")
    deleted = await archive.delete(removal.study, removal.series, removal.instance)
    if context.blobs is not None:
        with suppress(Unavailable):  # they stay freed: the next deletion takes them away
            await delete_freed(archive, context.blobs)
    study = access(deleted.study, deleted.imaging_study, deleted.subject, deleted.instances)
    return Answer(204, imaging=deleted, studies=(study,))
