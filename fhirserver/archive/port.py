"""The archive port: what one tenant has of DICOM studies, series and instances.

An instance is a row: its UIDs, where its bytes are (`fhirserver.blobs`), and its header as DICOM
JSON. What is told of a study or series is a function of the set of its instances, whatever the
order of their arrival: numbers are counted, other attributes are those of the instance with the
lowest (Series, SOP) Instance UID, the one that stands for it. `tests/archive/contract` runs on
every store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from fhirserver.archive.query import Found, Question

Conflicts: TypeAlias = Literal["keep", "replace"]
"""What happens to an instance that is there with other content: it stays, or makes way."""

Outcome: TypeAlias = Literal["new", "same", "kept", "replaced", "again"]
"""`new`: there was none with that SOP Instance UID. `same`: it is there with the same bytes and
nothing was written. `kept`: it is there with other bytes, and stayed. `replaced`: the other ones
made way. `again`: its blob was being deleted, or has been of late: look whether it is there
(`Blobs.has`), write it again if not, and add it again as `verified`; nothing may be acknowledged
before."""


class Source(NamedTuple):
    """From where an instance came: calling AE title (DICOMweb: empty), network address."""

    aet: str = ""
    address: str = ""


NOWHERE: Final = Source()


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance to be added, after its blob was committed.

    `header`: a DICOM JSON object (PS3.18 F.2) of the data set without bulk data, as UTF-8 bytes
    with no white space around it. It is served as it is; study, series, patient attributes are
    read from it. UIDs are given as well and are those that count. `frames`: what the reader of
    frames wants to remember (offsets), of its own making. `received` in microseconds since 1970.
    `blob`: digest. `size`: plain bytes of the blob.
    """

    study: str
    series: str
    instance: str
    sop_class: str
    transfer_syntax: str
    blob: str
    size: int
    header: bytes
    received: int
    frames: bytes | None = None
    source: Source = NOWHERE


class Held(NamedTuple):
    """An instance that is there, without its header; fields as in `Instance`. `number` is
    InstanceNumber, where it has one that is an integer."""

    study: str
    series: str
    instance: str
    sop_class: str
    transfer_syntax: str
    blob: str
    size: int
    received: int
    number: int | None
    frames: bytes | None
    source: Source


class Study(NamedTuple):
    """A study as it is. `header` is that of the instance that stands for it.

    `revision` grows with every change; `projected` is the newest one of which the ImagingStudy
    tells. `subject` (`Patient/1`) and `imaging_study` (an id) are what the projection last set;
    None before. `first` and `last`: when its first and its newest instance were received.
    A study that was deleted has no instances (and `header` is then empty).
    """

    uid: str
    revision: int
    projected: int
    series: int
    instances: int
    modalities: tuple[str, ...]
    header: bytes
    subject: str | None
    imaging_study: str | None
    first: int
    last: int


class Series(NamedTuple):
    """A series as it is; `header` is that of the instance that stands for it."""

    study: str
    uid: str
    modality: str
    instances: int
    header: bytes


class Changed(NamedTuple):
    """A study of which the projection is behind. Instants (microseconds): when it began to be
    behind, and its newest change. `instances` 0: it was deleted."""

    study: str
    revision: int
    since: int
    last: int
    instances: int
    imaging_study: str | None
    subject: str | None


class Deleted(NamedTuple):
    """What a deletion took: instances by study (one study), and how it was projected."""

    study: str
    instances: int
    imaging_study: str | None
    subject: str | None


class Archive(Protocol):
    """The verbs. Reads see what is durable; a read after an awaited write sees it.

    All raise `Unavailable` when the store cannot be reached. Except for `add_soon`, all are
    called on the event loop that opened the archive.
    """

    # --- writing -----------------------------------------------------------------------------

    async def add(
        self,
        instances: Sequence[Instance],
        conflicts: Conflicts = "keep",
        *,
        verified: bool = False,
    ) -> Sequence[Outcome]:
        """Adds instances; what became of each. All that says `new` or `replaced` is durable.

        Adds that wait at the same time share a commit. An instance whose SOP Instance UID is
        there with another study or series conflicts as well; replaced, it moves. `verified`:
        after an outcome `again`, the caller has looked that the blobs are there (`Blobs.has`).
        """

    def add_soon(
        self,
        instances: Sequence[Instance],
        conflicts: Conflicts = "keep",
        *,
        verified: bool = False,
    ) -> Future[Sequence[Outcome]]:
        """The same from any thread: `archive.add_soon([one]).result()`."""

    async def delete(
        self, study: str, series: str | None = None, instance: str | None = None
    ) -> Deleted:
        """Takes out a study, a series or an instance. Blobs that no row has are then `freed`.

        Raises `Gone` for what was deleted before, `NotFound` for what never was.
        """

    # --- asking ------------------------------------------------------------------------------

    async def find(self, question: Question, among: Sequence[str] | None = None) -> Found:
        """Matches of the question. `among`: only studies whose ImagingStudy has one of these ids.

        No access is checked here: ask the gate (`dicom-query`). Raises `TooCostly` when it takes
        too long, `Invalid` for an `after` that is not ours.
        """

    async def study(self, uid: str) -> Study | None:
        """A study, also a deleted one; None where there never was one."""

    async def series(self, study: str) -> Sequence[Series]:
        """The series of a study, by UID."""

    async def held(
        self, study: str, series: Sequence[str] = (), instances: Sequence[str] = ()
    ) -> Sequence[Held]:
        """The instances of a study (of some series, or only some), by (series, instance) UID."""

    async def held_by_uid(self, instances: Sequence[str]) -> Sequence[Held]:
        """Those of the SOP Instance UIDs that are there, in any order: storage commitment."""

    async def held_by_blob(self, digests: Sequence[str]) -> Sequence[Held]:
        """The instances whose bytes are those blobs, in any order."""

    def headers(
        self, study: str, series: Sequence[str] = (), instances: Sequence[str] = ()
    ) -> AsyncIterator[tuple[Held, bytes]]:
        """As `held`, each with its header, read in portions."""

    async def was_deleted(
        self, study: str, series: str | None = None, instance: str | None = None
    ) -> bool:
        """Whether that was here and was deleted (410)."""

    async def count(self) -> tuple[int, int, int]:
        """How many studies, series and instances there are."""

    # --- the projection ------------------------------------------------------------------------

    async def changed(self, limit: int = 100) -> Sequence[Changed]:
        """Studies of which the projection is behind, those that changed first before others."""

    async def projected(
        self, study: str, revision: int, imaging_study: str | None, subject: str | None
    ) -> None:
        """Says that the ImagingStudy now tells of that revision. Older ones change nothing but
        those two, so that a study that changed since stays behind."""

    # --- blobs ---------------------------------------------------------------------------------

    async def free(self, digests: Sequence[str]) -> None:
        """Frees those that no row has: blobs whose row never came."""

    async def freed(self, limit: int = 100) -> Sequence[str]:
        """Digests that no row has any more, claimed: nobody adds a row with one until `dropped`,
        and the caller deletes them at once. See `fhirserver.archive.freeing`."""

    async def dropped(self, digests: Sequence[str]) -> None:
        """Says that these blobs, which were claimed, are deleted."""

    def blobs(self) -> AsyncIterator[str]:
        """The digests of all instances: for the check of orphans."""

    async def close(self) -> None: ...
