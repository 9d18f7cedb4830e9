"""Questions to the archive and what answers them: the vocabulary of QIDO-RS, WADO-RS and C-FIND.

Edges put a `Question`, `Wanted` or `Removal` into `Request.imaging`, and get a `Found`,
`Retrieved` or `Deleted` as `Answer.imaging`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from fhirserver.archive.port import Deleted, Held
from fhirserver.blobs.port import Blobs
from fhirserver.dicom.matching import Key

Level: TypeAlias = Literal["patient", "study", "series", "instance"]


@dataclass(frozen=True, slots=True)
class Question:
    """Which patients, studies, series or instances match all `keys` (PS3.4 C.2.2.2).

    Keys may be of the level asked for and of those above (relational queries), by any attribute
    that data sets have, and by ModalitiesInStudy and the numbers of related series and instances.
    UIDs of the path (`/studies/1.2/series`) are keys too. Keys of universal matching need not be
    given. `combined`: a date and its time that both have ranges are one range (C.2.2.2.5).

    Studies come newest first (StudyDate, StudyTime, UID), their series and instances by UID,
    patients by a stable order. `after` is the `next` of a page before; `offset` counts from there.
    `headers`: rows have `header` too, for attributes that are not among those of the level.
    """

    level: Level
    keys: tuple[Key, ...] = ()
    limit: int = 100
    offset: int = 0
    after: str | None = None
    combined: bool = False
    headers: bool = False


class Row(NamedTuple):
    """A match. `patient`, `study`, `series` and `instance` are DICOM JSON objects (bytes), with no
    attribute twice, so that `joined` can put them together; None below the level asked for.

    `patient` has the attributes of the patient module that QIDO names (0010,xxxx); `study` those
    of the study (with StudyInstanceUID 0020000D, ModalitiesInStudy, NumberOfStudyRelatedSeries
    and -Instances, TimezoneOffsetFromUTC); `series` (with SeriesInstanceUID 0020000E,
    NumberOfSeriesRelatedInstances); `instance` (SOPClassUID, SOPInstanceUID 00080018,
    InstanceNumber, Rows, Columns, BitsAllocated, NumberOfFrames). Not among them, as they are the
    same for all or the edge's: SpecificCharacterSet, InstanceAvailability, RetrieveURL,
    RetrieveAETitle. `header` is the whole data set without bulk data, where asked for: of the
    instance, or of the one that stands for the series, study or patient.
    """

    study_uid: str
    series_uid: str | None
    instance_uid: str | None
    patient: bytes
    study: bytes | None
    series: bytes | None
    instance: bytes | None
    header: bytes | None
    imaging_study: str | None
    subject: str | None

    def joined(self, *, whole: bool = True) -> bytes:
        """One JSON object: of all levels, or (`whole` False) only of the lowest one."""
        parts = [one for one in (self.patient, self.study, self.series, self.instance) if one]
        if not whole:
            parts = parts[-1:]
        inner = b",".join(one[1:-1] for one in parts if len(one) > 2)
        return b"{" + inner + b"}"


class Found(NamedTuple):
    """A page of matches; `next` is None on the last one."""

    rows: tuple[Row, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be retrieved: a study, some of its series, some instances.

    `instances` alone (no `study`) are looked for by their SOP Instance UIDs. `transferred`: they
    go to another system (C-MOVE), which the audit trail tells apart (110104).
    """

    study: str | None = None
    series: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    transferred: bool = False


class Retrieved(NamedTuple):
    """What the caller may have, in the order of UIDs; never empty (else `NotFound` or `Gone`).

    `headers()` gives (instance, DICOM JSON without bulk data) in the same order, not all at once.
    The bytes are in `blobs`, by `Held.blob`: a DICOM file (PS3.10) as it was received.
    """

    instances: tuple[Held, ...]
    headers: Callable[[], AsyncIterator[tuple[Held, bytes]]]
    blobs: Blobs


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to be deleted: a study, a series of it, or an instance of that."""

    study: str
    series: str | None = None
    instance: str | None = None


__all__ = [
    "Deleted",
    "Found",
    "Level",
    "Question",
    "Removal",
    "Retrieved",
    "Row",
    "Wanted",
]
