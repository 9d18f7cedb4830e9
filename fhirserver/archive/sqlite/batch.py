"""The writes of one transaction. Numbers of a study are written once for all of its instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import apsw

from fhirserver.archive.facts import Facts, read, series_facts, study_facts
from fhirserver.archive.port import Conflicts, Deleted, Instance, Outcome
from fhirserver.archive.sqlite.rows import SeriesRow, StudyRow
from fhirserver.archive.veil import Veil
from fhirserver.errors import Gone, NotFound

WAITING, CLAIMED, DROPPED = 0, 1, 2
"""States of a blob that no row has: to be deleted, being deleted, deleted."""

_REMEMBERED: Final = 24 * 3600 * 1_000_000
"""Microseconds for which a deleted blob is remembered: longer than any write takes between the
commit of a blob and that of its row."""

_ABANDONED: Final = 600 * 1_000_000
"""Microseconds after which a claim is nobody's any more."""

NAME, WORD, REFERRER = 1, 2, 3
"""Kinds of terms."""

_FOUND = """SELECT i.iid, i.blob, i.rid, s.uid, r.uid FROM instance i
    JOIN study s ON s.sid=i.sid JOIN series r ON r.rid=i.rid WHERE i.uid=?"""
_INSERT = """INSERT INTO instance(uid, sid, rid, sop_class, transfer_syntax, blob, size, received,
    number, frames, aet, address, about) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING iid"""
_UPDATE = """UPDATE instance SET sop_class=?, transfer_syntax=?, blob=?, size=?, received=?,
    number=?, frames=?, aet=?, address=?, about=? WHERE iid=?"""
_CLAIM = """UPDATE freed SET state=?, at=? WHERE blob IN (
    SELECT blob FROM freed WHERE state=? OR (state=? AND at<?) LIMIT ?) RETURNING blob"""
_DELETED = "SELECT EXISTS(SELECT 1 FROM gone), EXISTS(SELECT 1 FROM freed)"
_IN_STUDY = """SELECT i.iid, i.blob, i.rid FROM series r CROSS JOIN instance i ON i.rid=r.rid
    WHERE r.sid=?"""


class Ready(NamedTuple):
    """An instance whose header was read and sealed: what needs no transaction."""

    instance: Instance
    facts: Facts
    blob: bytes
    number: int | None
    about: bytes
    header: bytes


def ready(one: Instance, veil: Veil) -> Ready:
    """Raises `Invalid` for a header that is no DICOM JSON."""
    facts = Facts(one)
    told = facts.instance()
    about = veil.seal(told.instance, f"instance|{one.instance}")
    header = veil.seal(one.header, f"header|{one.instance}")
    return Ready(one, facts, bytes.fromhex(one.blob), told.number, about, header)


class Batch:
    """Adds and deletes inside a transaction that has begun."""

    def __init__(self, connection: apsw.Connection, veil: Veil, now: int) -> None:
        self._connection = connection
        self._veil = veil
        self._now = now
        self._studies: dict[str, StudyRow] = {}
        self._has_gone, self._has_freed = connection.execute(_DELETED).fetchall()[0]

    # --- adding ------------------------------------------------------------------------------

    def add(
        self, instances: Sequence[Ready], conflicts: Conflicts, verified: bool
    ) -> list[Outcome]:
        """As `Archive.add`."""
        return [self._add(one, conflicts, verified) for one in instances]

    def _add(self, ready: Ready, conflicts: Conflicts, verified: bool) -> Outcome:
        one = ready.instance
        found = self._connection.execute(_FOUND, (one.instance,)).fetchone()
        place = (one.study, one.series)
        if found is not None and found[1] == ready.blob and found[3:] == place:
            return "same"
        if found is not None and conflicts == "keep":
            return "kept"
        if self._is_going(ready.blob, verified):
            return "again"
        outcome: Outcome = "new" if found is None else "replaced"
        if found is not None and found[3:] != place:  # it moves
            self._take(found[3], found[0], found[1], found[2])
            found = None
        study = self._study(one.study, one.received)
        series = study.of(one.series) or self._new_series(study, one.series)
        if found is None:
            iid = self._insert(ready, study, series)
        else:
            iid = found[0]
            self._connection.execute(_UPDATE, (*_values(ready), iid))
            self._connection.execute("UPDATE header SET body=? WHERE iid=?", (ready.header, iid))
            self._free(found[1])
        study.last = max(study.last, one.received)
        _lead(study, series, ready, iid)
        return outcome

    def _insert(self, ready: Ready, study: StudyRow, series: SeriesRow) -> int:
        one = ready.instance
        row = (one.instance, study.sid, series.rid, *_values(ready))
        iid: int = self._connection.execute(_INSERT, row).get
        self._connection.execute("INSERT INTO header VALUES (?,?)", (iid, ready.header))
        series.instances += 1
        study.instances += 1
        if self._has_gone:
            for uids in (f"{one.study}/{one.series}/{one.instance}", f"{one.study}/{one.series}"):
                self._connection.execute("DELETE FROM gone WHERE uids=?", (uids,))
        return iid

    def _is_going(self, blob: bytes, verified: bool) -> bool:
        """Whether the blob is being deleted. One that is to be, or was and is there, is kept."""
        if not self._has_freed:
            return False
        state = self._connection.execute("SELECT state FROM freed WHERE blob=?", (blob,)).get
        if state is None:
            return False
        if state == CLAIMED or (state == DROPPED and not verified):
            return True
        self._connection.execute("DELETE FROM freed WHERE blob=?", (blob,))
        return False

    # --- deleting ----------------------------------------------------------------------------

    def delete(self, uid: str, series: str | None, instance: str | None) -> Deleted:
        """As `Archive.delete`."""
        self.flush()
        self._studies.clear()
        study = StudyRow.load(self._connection, uid)
        found = [] if study is None else self._instances(study.sid, series, instance)
        if study is None or not found:
            if study is not None and (not study.instances or self._is_gone(uid, series, instance)):
                raise Gone("It was deleted.")
            raise NotFound("The archive has no such instances.")
        self._studies[uid] = study
        for iid, blob, rid in found:
            self._take(uid, iid, blob, rid)
        if series is not None:
            uids = "/".join(filter(None, (uid, series, instance)))
            self._has_gone = True
            self._connection.execute("INSERT OR IGNORE INTO gone VALUES (?)", (uids,))
        return Deleted(uid, len(found), study.imaging_study, study.subject)

    def _is_gone(self, uid: str, series: str | None, instance: str | None) -> bool:
        wanted = [f"{uid}/{series}"] + ([f"{uid}/{series}/{instance}"] if instance else [])
        sql = "SELECT 1 FROM gone WHERE uids=?"
        return any(self._connection.execute(sql, (one,)).get for one in wanted)

    def _instances(self, sid: int, series: str | None, instance: str | None) -> list[Any]:
        sql = _IN_STUDY
        bound: list[Any] = [sid]
        for column, uid in (("r.uid", series), ("i.uid", instance)):
            if uid is not None:
                sql += f" AND {column}=?"
                bound.append(uid)
        return self._connection.execute(sql, bound).fetchall()

    def _take(self, uid: str, iid: int, blob: bytes, rid: int) -> None:
        """Takes an instance out of its study; its blob is freed where no other row has it."""
        study = self._study(uid, self._now)
        series = study.by_rid(rid)
        self._connection.execute("DELETE FROM instance WHERE iid=?", (iid,))
        self._connection.execute("DELETE FROM header WHERE iid=?", (iid,))
        self._free(blob)
        study.changed = series.changed = True
        study.instances -= 1
        series.instances -= 1
        if series.lead == iid:
            series.lose_lead()
        if study.lead == iid:
            study.lose_lead()

    def _free(self, blob: bytes) -> None:
        sql = "SELECT 1 FROM instance WHERE blob=? LIMIT 1"
        if self._connection.execute(sql, (blob,)).get is None:
            self._has_freed = True
            self._connection.execute(
                """INSERT INTO freed VALUES (?,?,?) ON CONFLICT DO UPDATE SET state=excluded.state
                WHERE state<>?""",  # who claimed it deletes it, whatever is found meanwhile
                (blob, WAITING, self._now, CLAIMED),
            )

    # --- blobs and projection ------------------------------------------------------------------

    def claim(self, limit: int) -> list[str]:
        """As `Archive.freed`. What a process that ended had claimed is claimed again."""
        self._connection.execute(
            "DELETE FROM freed WHERE state=? AND at<?", (DROPPED, self._now - _REMEMBERED)
        )
        found: Any = self._connection.execute(
            _CLAIM, (CLAIMED, self._now, WAITING, CLAIMED, self._now - _ABANDONED, limit)
        ).fetchall()
        return [blob.hex() for (blob,) in found]

    def free(self, digests: Sequence[str]) -> None:
        """Frees blobs that no row has: orphans."""
        for digest in digests:
            self._free(bytes.fromhex(digest))

    def drop(self, digests: Sequence[str]) -> None:
        """As `Archive.dropped`."""
        self._connection.executemany(
            "UPDATE freed SET state=?, at=? WHERE blob=? AND state=?",
            [(DROPPED, self._now, bytes.fromhex(one), CLAIMED) for one in digests],
        )

    def project(
        self, uid: str, revision: int, imaging_study: str | None, subject: str | None
    ) -> None:
        """As `Archive.projected`."""
        self.flush()
        self._studies.clear()
        self._connection.execute(
            """UPDATE study SET imaging_study=?, subject=?, projected=max(projected, ?),
            since=CASE WHEN ?>=revision THEN NULL ELSE since END WHERE uid=?""",
            (imaging_study, subject, revision, revision, uid),
        )

    # --- the rows of studies and series --------------------------------------------------------

    def _study(self, uid: str, received: int) -> StudyRow:
        found = self._studies.get(uid)
        if found is None:
            found = StudyRow.load(self._connection, uid) or StudyRow.make(
                self._connection, uid, received
            )
            self._studies[uid] = found
        if not found.instances and not found.changed:
            found.first = received  # new, or deleted before
        return found

    def _new_series(self, study: StudyRow, uid: str) -> SeriesRow:
        study.series_changed = True
        return study.add(self._connection, uid)

    def flush(self) -> None:
        """Writes the studies and series that changed."""
        for study in self._studies.values():
            if study.changed:
                self._flush_study(study)

    def _flush_study(self, study: StudyRow) -> None:
        for series in [one for one in study.loaded() if one.changed]:
            self._flush_series(study, series)
        if study.lead is None and study.instances:
            self._find_lead(study)
        if study.series_changed:
            self._write_modalities(study)
        facts = study.facts
        if facts is not None:
            self._write_terms(study)
        if not study.instances:
            self._connection.execute("DELETE FROM term WHERE sid=?", (study.sid,))
        study.revision += 1
        study.save(self._connection, self._veil, self._now)

    def _flush_series(self, study: StudyRow, series: SeriesRow) -> None:
        if not series.instances:
            self._connection.execute("DELETE FROM series WHERE rid=?", (series.rid,))
            study.forget(series)
            study.series_changed = True
            return
        if series.lead is None:
            sql = "SELECT iid, uid FROM instance WHERE rid=? ORDER BY uid LIMIT 1"
            iid, uid = self._one(sql, series.rid)
            series.lead, series.lead_uid = iid, uid
            series.facts = series_facts(series.uid, read(self._header(iid, uid)))
        if series.facts is not None and series.facts.modality != series.modality:
            series.modality = series.facts.modality
            study.series_changed = True
        series.save(self._connection, self._veil, study.uid)

    def _find_lead(self, study: StudyRow) -> None:
        sql = """SELECT i.iid, i.uid, r.uid FROM series r CROSS JOIN instance i ON i.rid=r.rid
            WHERE r.sid=? ORDER BY r.uid, i.uid LIMIT 1"""
        iid, uid, series = self._one(sql, study.sid)
        study.lead, study.lead_place = iid, (series, uid)
        study.facts = study_facts(study.uid, read(self._header(iid, uid)))

    def _one(self, sql: str, number: int) -> Any:
        return self._connection.execute(sql, (number,)).fetchone()

    def _header(self, iid: int, uid: str) -> bytes:
        body: bytes = self._connection.execute("SELECT body FROM header WHERE iid=?", (iid,)).get
        return self._veil.open(body, f"header|{uid}")

    def _write_modalities(self, study: StudyRow) -> None:
        sql = "SELECT DISTINCT modality FROM series WHERE sid=? AND modality<>'' ORDER BY 1"
        names = [name for (name,) in self._connection.execute(sql, (study.sid,))]
        study.series = self._connection.execute(
            "SELECT count(*) FROM series WHERE sid=?", (study.sid,)
        ).get
        study.modalities = "\\".join(names)
        self._connection.execute("DELETE FROM modality WHERE sid=?", (study.sid,))
        self._connection.executemany(
            "INSERT INTO modality VALUES (?,?)", [(name, study.sid) for name in names]
        )

    def _write_terms(self, study: StudyRow) -> None:
        facts, text = study.facts, self._veil.text
        assert facts is not None
        rows = {(NAME, text("name", one)) for one in facts.names}
        rows |= {(WORD, text("word", one)) for one in facts.words}
        rows |= {(REFERRER, text("referrer", one)) for one in facts.referrer}
        sql = "SELECT kind, text FROM term WHERE sid=?"
        there = set(self._connection.execute(sql, (study.sid,)))
        self._connection.executemany(
            "DELETE FROM term WHERE kind=? AND text=? AND sid=?",
            [(*row, study.sid) for row in there - rows],
        )
        self._connection.executemany(
            "INSERT INTO term VALUES (?,?,?)", [(*row, study.sid) for row in rows - there]
        )


def _values(ready: Ready) -> tuple[Any, ...]:
    one = ready.instance
    return (
        *(one.sop_class, one.transfer_syntax, ready.blob, one.size, one.received, ready.number),
        *(one.frames, one.source.aet, one.source.address, ready.about),
    )


def _lead(study: StudyRow, series: SeriesRow, ready: Ready, iid: int) -> None:
    """Takes the instance for the one that stands for its series and study, if it is that."""
    study.changed = series.changed = True
    one = ready.instance
    if not series.is_leaderless and (series.lead_uid is None or one.instance <= series.lead_uid):
        series.lead, series.lead_uid = iid, one.instance
        series.facts = ready.facts.series()
    place = (one.series, one.instance)
    if not study.is_leaderless and (study.lead_place is None or place <= study.lead_place):
        study.lead, study.lead_place = iid, place
        study.facts = ready.facts.study()
