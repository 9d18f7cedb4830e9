"""dicom-query: the patients, studies, series or instances that match, as the caller may see them.

PS3.18 10.6 (QIDO-RS) and PS3.4 C.4.1 (C-FIND). Who may not see all of them gets the pages of
the archive without what is hidden, filled up, so that nothing tells that it is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from fhirserver.archive.port import Archive
from fhirserver.archive.query import Found, Question, Row
from fhirserver.audit.imaging import IMAGING_STUDY
from fhirserver.errors import TooCostly
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import decode
from fhirserver.operations.imaging.visible import access, archive_of, visible
from fhirserver.search.expression import Query

_FEW: Final = 300
"""So many ImagingStudies are named to the archive, rather than all of its matches looked at."""

_LOOKED_AT: Final = 20_000
"""The most matches that are looked at for a page of those that may be seen."""


async def run(context: Context, request: Request) -> Answer:
    """200 with a `Found` for the `Question`.

    Raises `NotSupported` without an archive, `TooCostly` where too much has to be passed over,
    and what `Archive.find` raises.
    """
    question, archive = request.imaging, archive_of(context)
    assert isinstance(question, Question)
    if "s" in context.all_studies:
        found = await archive.find(question)
    else:
        found = await _Shown(context, archive).page(question)
    studies = {
        row.study_uid: access(row.study_uid, row.imaging_study, row.subject) for row in found.rows
    }
    return Answer(200, imaging=found, studies=tuple(studies.values()))


class _Shown:
    """What the caller may see of the archive."""

    def __init__(self, context: Context, archive: Archive) -> None:
        self._context = context
        self._archive = archive
        self._among: Sequence[str] | None = None
        self._looked_at = 0

    async def page(self, question: Question) -> Found:
        self._among = await self._few()
        patients = question.level == "patient" and self._among is None
        level = "study" if patients else question.level
        rest = replace(question, level=level, offset=0)
        if question.offset:
            _, after = await self._next(rest, question.offset)
            if after is None:
                return Found((), None)
            rest = replace(rest, after=after)
        rows, after = await self._next(rest, question.limit)
        if patients:
            rows = _one_each(rows)
        if after is not None:
            more, _ = await self._next(replace(rest, after=after), 1)
            after = after if more else None
        return Found(tuple(rows), after)

    async def _few(self) -> Sequence[str] | None:
        """The ids of all ImagingStudies that the caller may see, where they are few."""
        store = self._context.store
        counted = await store.search(Query((IMAGING_STUDY,), count=0, total=True))
        if counted.total is None or counted.total > _FEW:
            return None
        page = await store.search(Query((IMAGING_STUDY,), count=_FEW))
        return [version.id for version in page.versions]

    async def _next(self, question: Question, wanted: int) -> tuple[Sequence[Row], str | None]:
        """The next so many rows that may be seen, and where to go on; None at the end."""
        rows: list[Row] = []
        after = question.after
        while True:
            page = await self._archive.find(
                replace(question, after=after, limit=wanted - len(rows)), self._among
            )
            ids = await visible(self._context, page.rows)
            rows += [row for row in page.rows if row.imaging_study in ids]
            after = page.next
            if after is None or len(rows) >= wanted:
                return rows, after
            self._looked_at += len(page.rows)
            if self._looked_at > _LOOKED_AT:
                raise TooCostly("Too many studies match. Ask for fewer: name a patient or dates.")


def _one_each(rows: Sequence[Row]) -> list[Row]:
    """The rows of studies as rows of their patients."""
    found: dict[str, Row] = {}
    for row in rows:
        patient = decode(row.patient)
        key = repr([patient.get(tag) for tag in ("00100020", "00100021")])
        found.setdefault(key, row._replace(study=None, series=None, instance=None))
    return list(found.values())
