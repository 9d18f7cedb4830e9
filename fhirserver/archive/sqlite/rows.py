"""The rows of studies and series as a transaction changes them."""

from __future__ import annotations

from typing import Any

import apsw

from fhirserver.archive.facts import SeriesFacts, StudyFacts
from fhirserver.archive.veil import Veil

_STUDY = """SELECT s.sid, s.revision, s.first, s.last, s.series, s.instances, s.modalities, s.lead,
    r.uid, i.uid, s.subject, s.imaging_study
    FROM study s LEFT JOIN instance i ON i.iid=s.lead LEFT JOIN series r ON r.rid=i.rid
    WHERE s.uid=?"""
_NEW = """INSERT INTO study VALUES (NULL, ?, 0, 0, NULL, 0, ?, ?, 0, 0, '', NULL,
    '', '', '', '', '', '', '', '', NULL, NULL, x'', x'', 0) RETURNING sid"""
_SAVE = """UPDATE study SET revision=?, since=coalesce(since, ?), touched=?, first=?, last=?,
    series=?, instances=?, lead=? WHERE sid=?"""
_SAVE_MODALITIES = "UPDATE study SET modalities=? WHERE sid=?"
_SAVE_FACTS = """UPDATE study SET day=?, hour=?, patient_id=?, issuer=?, birth_date=?, sex=?,
    accession=?, study_id=?, patient=?, about=?, present=1 WHERE sid=?"""
_EMPTY = """UPDATE study SET day='', hour='', patient_id='', issuer='', birth_date='', sex='',
    accession='', study_id='', patient=x'', about=x'', present=0 WHERE sid=?"""
_SERIES = """SELECT r.rid, r.uid, r.modality, r.instances, r.lead, i.uid
    FROM series r LEFT JOIN instance i ON i.iid=r.lead WHERE r.sid=? AND """
_SAVE_SERIES = "UPDATE series SET modality=?, instances=?, lead=? WHERE rid=?"
_SAVE_SERIES_FACTS = "UPDATE series SET number=?, about=? WHERE rid=?"


class SeriesRow:
    """A series. `facts` are set when they change, `changed` when anything does."""

    def __init__(self, row: Any) -> None:
        self.rid: int
        self.uid: str
        self.modality: str
        self.instances: int
        self.lead: int | None
        self.lead_uid: str | None
        self.rid, self.uid, self.modality, self.instances, self.lead, self.lead_uid = row
        self.facts: SeriesFacts | None = None
        self.changed = False
        self.is_leaderless = False  # until it is looked for

    def lose_lead(self) -> None:
        """The instance that stood for it was taken out."""
        self.lead, self.lead_uid, self.facts = None, None, None
        self.is_leaderless = True

    def save(self, connection: apsw.Connection, veil: Veil, study: str) -> None:
        """Writes it."""
        row = (self.modality, self.instances, self.lead, self.rid)
        connection.execute(_SAVE_SERIES, row)
        if self.facts is not None:
            about = veil.seal(self.facts.series, f"series|{study}|{self.uid}")
            connection.execute(_SAVE_SERIES_FACTS, (self.facts.number, about, self.rid))
            self.facts = None
        self.changed = False


class StudyRow:
    """A study; its series are read when they are asked for."""

    def __init__(self, connection: apsw.Connection, uid: str, row: Any) -> None:
        self._connection = connection
        self._series: dict[str, SeriesRow] = {}
        self.uid = uid
        self.sid: int
        self.revision: int
        self.first: int
        self.last: int
        self.series: int
        self.instances: int
        self.modalities: str
        self.lead: int | None
        self.lead_place: tuple[str, str] | None = None
        self.subject: str | None
        self.imaging_study: str | None
        self.sid, self.revision, self.first, self.last, *rest = row
        self.series, self.instances, self.modalities, self.lead, *rest = rest
        series, instance, self.subject, self.imaging_study = rest
        if series is not None:
            self.lead_place = (series, instance)
        self.facts: StudyFacts | None = None
        self.changed = False
        self.series_changed = False
        self.is_leaderless = False

    def lose_lead(self) -> None:
        """The instance that stood for it was taken out."""
        self.lead, self.lead_place, self.facts = None, None, None
        self.is_leaderless = True

    @classmethod
    def load(cls, connection: apsw.Connection, uid: str) -> StudyRow | None:
        """The study, also a deleted one."""
        row = connection.execute(_STUDY, (uid,)).fetchone()
        return None if row is None else cls(connection, uid, row)

    @classmethod
    def make(cls, connection: apsw.Connection, uid: str, received: int) -> StudyRow:
        """A new study, without instances."""
        sid = connection.execute(_NEW, (uid, received, received)).get
        return cls(
            connection, uid, (sid, 0, received, received, 0, 0, "", None, None, None, None, None)
        )

    def of(self, uid: str) -> SeriesRow | None:
        """A series of it."""
        return self._series.get(uid) or self._load("r.uid=?", uid)

    def by_rid(self, rid: int) -> SeriesRow:
        """The same by its number; it is there."""
        for one in self._series.values():
            if one.rid == rid:
                return one
        found = self._load("r.rid=?", rid)
        assert found is not None
        return found

    def add(self, connection: apsw.Connection, uid: str) -> SeriesRow:
        """A new series, without instances."""
        sql = "INSERT INTO series VALUES (NULL, ?, ?, '', NULL, 0, NULL, x'') RETURNING rid"
        rid = connection.execute(sql, (self.sid, uid)).get
        made = self._series[uid] = SeriesRow((rid, uid, "", 0, None, None))
        return made

    def loaded(self) -> list[SeriesRow]:
        """The series that were asked for."""
        return list(self._series.values())

    def forget(self, series: SeriesRow) -> None:
        """One that is no longer there."""
        del self._series[series.uid]

    def save(self, connection: apsw.Connection, veil: Veil, now: int) -> None:
        """Writes it."""
        row = (
            *(self.revision, now, now, self.first, self.last, self.series, self.instances),
            *(self.lead, self.sid),
        )
        connection.execute(_SAVE, row)
        if self.series_changed:
            connection.execute(_SAVE_MODALITIES, (self.modalities, self.sid))
        if self.facts is not None:
            connection.execute(_SAVE_FACTS, (*self._kept(self.facts, veil), self.sid))
        elif not self.instances:
            connection.execute(_EMPTY, (self.sid,))
        self.facts = None
        self.changed = self.series_changed = False

    def _kept(self, facts: StudyFacts, veil: Veil) -> tuple[Any, ...]:
        token = veil.token
        return (
            *(facts.date, facts.time, token("patient-id", facts.patient_id)),
            *(token("issuer", facts.issuer), token("birth-date", facts.birth_date), facts.sex),
            *(token("accession", facts.accession), token("study-id", facts.study_id)),
            veil.seal(facts.patient, f"patient|{self.uid}"),
            veil.seal(facts.study, f"study|{self.uid}"),
        )

    def _load(self, condition: str, value: Any) -> SeriesRow | None:
        row = self._connection.execute(_SERIES + condition, (self.sid, value)).fetchone()
        if row is None:
            return None
        found = self._series[row[1]] = SeriesRow(row)
        return found
