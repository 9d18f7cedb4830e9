"""Which studies of the archive a caller may see: those whose ImagingStudy the caller may see.

The archive knows no callers. A row of it names its ImagingStudy and its subject; both must be
what the guarded store shows, so that nobody makes an ImagingStudy to get at another's study.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from fhirserver.archive.port import Archive, Study
from fhirserver.archive.query import Row
from fhirserver.audit.imaging import IMAGING_STUDY, StudyAccess
from fhirserver.errors import NotSupported
from fhirserver.interactions.context import Context
from fhirserver.model.json import decode
from fhirserver.model.reference import own
from fhirserver.search.expression import And, IdIs, Or, Query, ReferenceIs, Target

_PATIENT: Final = "Patient/"


def archive_of(context: Context) -> Archive:
    """The archive. Raises `NotSupported` where no instances are kept."""
    if context.archive is None:
        raise NotSupported("This server keeps no DICOM instances.")
    return context.archive


async def visible(context: Context, rows: Iterable[Row]) -> frozenset[str]:
    """The ids of the ImagingStudies among those of the rows that a search may show."""
    by_subject: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.imaging_study is not None and row.subject is not None:
            by_subject[row.subject].add(row.imaging_study)
    ids = frozenset().union(*by_subject.values())
    if not ids:
        return ids
    where = Or(tuple(_of_subject(subject, of) for subject, of in sorted(by_subject.items())))
    counted = await context.store.search(Query((IMAGING_STUDY,), where, count=0, total=True))
    if counted.total == len(ids):  # the usual case, in which no body has to be read
        return ids
    page = await context.store.search(Query((IMAGING_STUDY,), where, count=len(ids)))
    return frozenset(version.id for version in page.versions)


async def may_read(context: Context, study: Study) -> bool:
    """Whether the caller may have the instances of a study."""
    if "r" in context.all_studies:
        return True
    if study.imaging_study is None or study.subject is None:
        return False
    version = await context.store.read(IMAGING_STUDY, study.imaging_study)
    if version is None or version.body is None:
        return False
    subject = decode(version.body).get("subject", {})
    return own(subject.get("reference", ""), context.base) == study.subject


def access(
    uid: str, imaging_study: str | None, subject: str | None, instances: int = 0
) -> StudyAccess:
    """What the audit trail is told of a study."""
    patient = subject.removeprefix(_PATIENT) if subject and subject.startswith(_PATIENT) else None
    return StudyAccess(uid, imaging_study, patient, instances)


def _of_subject(subject: str, ids: Iterable[str]) -> And:
    type, _, id = subject.partition("/")
    return And((IdIs(tuple(sorted(ids))), ReferenceIs("subject", (Target(type, id),))))
