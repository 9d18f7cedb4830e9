"""Finding: an index gives studies in the order of the answer, what is not exact is looked at."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec
from pymongo import ASCENDING, DESCENDING

from fhirserver.archive import place
from fhirserver.archive.facts import BELOW, INDEXED, counted_series, counted_study
from fhirserver.archive.mongo.document import IMAGING, key
from fhirserver.archive.mongo.lower import lowered
from fhirserver.archive.mongo.study import Studies, modalities
from fhirserver.archive.query import Found, Question, Row
from fhirserver.archive.veil import Veil
from fhirserver.dicom.matching import AnyOf, Exactly, matches
from fhirserver.store.mongo.connection import too_costly, within
from fhirserver.store.mongo.document import Json

_INSTANCE: Final = "00080018"
_LEVELS: Final = {"patient": 0, "study": 0, "series": 1, "instance": 2}
_NEWEST: Final = [("day", DESCENDING), ("hour", DESCENDING), ("u", DESCENDING)]
_OF_PATIENTS: Final = [("pid", ASCENDING), ("iss", ASCENDING), ("u", ASCENDING)]


class Finder:
    """Answers questions about one tenant's studies."""

    def __init__(self, studies: Studies, tenant: str, veil: Veil, patience: float) -> None:
        self._studies = studies
        self._tenant = tenant
        self._veil = veil
        self._patience = patience

    async def page(self, question: Question, ids: Sequence[str] | None) -> Found:
        """As `Archive.find`."""
        page = _Page(self._studies, self._tenant, self._veil, question, self._patience)
        with within(self._patience):
            return await page.found(ids)


class _Page:
    """One question."""

    def __init__(
        self, studies: Studies, tenant: str, veil: Veil, question: Question, patience: float
    ) -> None:
        self._studies = studies
        self._tenant = tenant
        self._veil = veil
        self._question = question
        self._until = time.monotonic() + patience
        self._level = _LEVELS[question.level]
        self._is_patient = question.level == "patient"
        self._after = () if question.after is None else place.read(question.after, self._level + 3)
        self._conditions: list[Json] = []
        self._again = []
        for asked in question.keys:
            found = list(lowered(asked, self._level, veil))
            self._conditions += [one.query for one in found if one.query is not None]
            if question.combined or not all(one.is_exact for one in found):
                self._again.append(asked)
        tags = {asked.tag for asked in self._again}
        self._reads_header = bool(tags - INDEXED) or bool(tags & BELOW[self._level])

    async def found(self, ids: Sequence[str] | None) -> Found:
        question = self._question
        rows: list[Row] = []
        last: tuple[str, ...] = ()
        skipped = 0
        async for row, end in self._matching(ids):
            if skipped < question.offset:
                skipped += 1
                continue
            if len(rows) == question.limit:
                return Found(tuple(rows), place.written(last) if last else None)
            rows.append(row)
            last = end
        return Found(tuple(rows), None)

    async def _query(self, ids: Sequence[str] | None) -> Json:
        conditions = list(self._conditions)
        if ids is not None:
            conditions.append({"q": {"$in": [key(IMAGING, one) for one in ids]}})
        named = [asked.condition for asked in self._question.keys if asked.tag == _INSTANCE]
        conditions += [
            {"u": {"$in": await self._studies_of(condition)}}
            for condition in named
            if self._level == 2 and isinstance(condition, Exactly | AnyOf)
        ]
        if self._after:
            conditions.append(self._behind())
        query: Json = {"t": self._tenant, "n": {"$gt": 0}}
        return query | ({"$and": conditions} if conditions else {})

    async def _studies_of(self, condition: Exactly | AnyOf) -> list[str]:
        uids = [condition.value] if isinstance(condition, Exactly) else list(condition.values)
        query = {"t": self._tenant, "u": {"$in": uids}}
        cursor = self._studies.instances.find(query, {"_id": 0, "st": 1})
        return list({found["st"] async for found in cursor})

    def _behind(self) -> Json:
        first, second, third = self._after[:3]
        if self._is_patient:
            return {
                "$or": [
                    {"pid": {"$gt": first}},
                    {"pid": first, "iss": {"$gt": second}},
                    {"pid": first, "iss": second, "u": {"$gt": third}},
                ]
            }
        until = "$lte" if self._level else "$lt"
        return {
            "$or": [
                {"day": {"$lt": first}},
                {"day": first, "hour": {"$lt": second}},
                {"day": first, "hour": second, "u": {until: third}},
            ]
        }

    async def _matching(
        self, ids: Sequence[str] | None
    ) -> AsyncIterator[tuple[Row, tuple[str, ...]]]:
        before = self._after[:2] if self._is_patient else ()
        order = _OF_PATIENTS if self._is_patient else _NEWEST
        cursor = self._studies.studies.find(await self._query(ids), {"q": 0, "k": 0}).sort(order)
        number = 0
        async with cursor:
            async for study in cursor:
                patient = (study["pid"], study["iss"])
                if self._is_patient and patient == before and patient[0]:
                    continue
                async for row, end, lead in self._rows(study):
                    number += 1
                    if number % 64 == 0 and time.monotonic() > self._until:
                        raise too_costly()
                    if self._again and not await self._matches(row, lead):
                        continue
                    before = patient
                    if self._question.headers:
                        row = row._replace(header=await self._studies.header(lead))
                    yield row, end

    async def _rows(self, study: Json) -> AsyncIterator[tuple[Row, tuple[str, ...], str]]:
        """The rows of a study, each with its place and the instance that stands for it."""
        row = self._study_row(study)
        end: tuple[str, ...] = (study["day"], study["hour"], study["u"])
        if self._is_patient:
            end = (study["pid"], study["iss"], study["u"])
        if not self._level:
            yield row, end, study["l"]
            return
        after = self._after[3:] if self._after[:3] == end else ()
        series_rows = {}
        for series in study["s"]:
            uid = series["u"]
            told = self._veil.open(bytes(series["a"]), f"series|{row.study_uid}|{uid}")
            content = b"{%b,%b}" % (told, counted_series(int(series["n"])))
            series_rows[uid] = row._replace(series_uid=uid, series=content)
            if self._level == 1 and (uid,) > after:
                yield series_rows[uid], (*end, uid), series["l"]
        if self._level == 2:
            async for found in self._instances(study["u"]):
                series_uid, uid = found["se"], found["u"]
                if (series_uid, uid) <= after or series_uid not in series_rows:
                    continue
                told = self._veil.open(bytes(found["a"]), f"instance|{uid}")
                whole = series_rows[series_uid]._replace(instance_uid=uid, instance=b"{%b}" % told)
                yield whole, (*end, series_uid, uid), uid

    async def _instances(self, study: str) -> AsyncIterator[Json]:
        query = {"t": self._tenant, "st": study}
        parts = {"_id": 0, "se": 1, "u": 1, "a": 1}
        order = [("se", ASCENDING), ("u", ASCENDING)]
        cursor = self._studies.instances.find(query, parts).sort(order)
        async with cursor:
            async for found in cursor:
                yield found

    def _study_row(self, study: Json) -> Row:
        uid = study["u"]
        names = modalities(study["s"])
        told = self._veil.open(bytes(study["a"]), f"study|{uid}")
        counted = counted_study(names, len(study["s"]), int(study["n"]))
        return Row(
            study_uid=uid,
            series_uid=None,
            instance_uid=None,
            patient=b"{%b}" % self._veil.open(bytes(study["pa"]), f"patient|{uid}"),
            study=None if self._is_patient else b"{%b,%b}" % (told, counted),
            series=None,
            instance=None,
            header=None,
            imaging_study=study["img"],
            subject=study["subject"],
        )

    async def _matches(self, row: Row, lead: str) -> bool:
        data: Any = {}
        if self._reads_header:
            data = msgspec.json.decode(await self._studies.header(lead))
        for part in (row.patient, row.study, row.series, row.instance):
            if part is not None:
                data |= msgspec.json.decode(part)
        return matches(self._again, data, combined=self._question.combined)
