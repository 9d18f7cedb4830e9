"""The store port: the verbs that every store implements.

A store keeps one tenant's resources: for each (type, id) a chain of versions, the current
one's search entries, and commits in a total order. No session, cursor or driver object
leaves it. `tests/store/contract` runs on every store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeAlias

from fhirserver.errors import Conflict
from fhirserver.model.resource import Body
from fhirserver.model.temporal import ALWAYS, Interval
from fhirserver.search.entry import Entries
from fhirserver.search.expression import Cursor, Expression, Query
from fhirserver.store.concepts import ConceptStore
from fhirserver.store.records import Records
from fhirserver.terminology.concept import ConceptSet

Method: TypeAlias = Literal["POST", "PUT", "PATCH", "DELETE"]


class Version(NamedTuple):
    """One version of a resource. `body` is None for a deletion; times in microseconds.

    A contained resource that a search finds comes as its type and id (`#Medication`,
    `MedicationRequest/23#m1`) with version and body of its container.
    """

    type: str
    id: str
    version: int
    last_updated: int
    method: Method
    body: bytes | None


class Key(NamedTuple):
    type: str
    id: str


@dataclass(slots=True)  # frozen would cost three times the time to make
class Change:
    """A new version. Its precondition: the store holds exactly version `version` - 1.

    Version 1 means that the resource never existed; one after a deletion continues the count.
    `body` is None for a deletion, and `entries` then empty. `concepts` are those of a
    CodeSystem, which change with it; None for other types and deletions.
    """

    type: str
    id: str
    version: int
    method: Method
    body: Body | None
    entries: Entries = field(default_factory=dict)
    concepts: ConceptSet | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """A search that must find exactly `ids`, of which two at the most are looked for.

    What was decided from a search (a conditional create, a reference by condition, a deletion
    of what nobody refers to) states it, so that it still holds inside the commit.
    """

    types: tuple[str, ...]
    where: Expression
    ids: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Entered:
    """Other index entries for a version that stays as it is, while it is the current one."""

    type: str
    id: str
    version: int
    entries: Entries


class Unchanged(NamedTuple):
    """Nothing of `type` was committed since `latest` gave `number`.

    Index entries rest on the search parameters that are stored: who makes some states which
    ones were known (docs/adr/0027-custom-search-parameters.md).
    """

    type: str
    number: int


class Stale(Conflict):
    """The store moved on since the change was prepared; prepare it again."""


class Outdated(Stale):
    """An `Unchanged` does not hold: what the change was prepared with must be read again."""


class Committed(NamedTuple):
    """The number of the commit in the store's total order, and its instant (microseconds)."""

    number: int
    instant: int


class Noted(NamedTuple):
    """The note of a commit, by the commit's number."""

    number: int
    note: bytes


class SearchPage(NamedTuple):
    """Current versions in order; `next` is None on the last page; `total` when asked for."""

    versions: Sequence[Version]
    total: int | None
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Versions newest first: of an instance, of a type (`id` None) or of all (`type` None).

    `since`: committed at or after that instant (microseconds). `at`: versions that were current
    at some time of that interval.
    """

    type: str | None = None
    id: str | None = None
    since: int | None = None
    at: Interval = ALWAYS
    count: int = 50
    after: Cursor | None = None


class HistoryPage(NamedTuple):
    """`total` counts all versions of the query, in the snapshot that the first page took.

    None where what may be seen of them is not counted (`fhirserver.access.guard`).
    """

    versions: Sequence[Version]
    total: int | None
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Versions in the order of their commits: of some types (none of them: of all).

    `since`: committed at or after that instant (microseconds). `current`: only those that are
    current in the snapshot that the walk takes when it begins, and no deletions.
    """

    types: tuple[str, ...] = ()
    since: int | None = None
    current: bool = False


@dataclass(frozen=True, slots=True)
class Expunge:
    """What is taken out of a store for good: of an instance, of a type, or of all.

    `previous`: versions that are no longer current, of resources that are not deleted.
    `deleted`: resources that are, with all their versions. No more than `limit` versions go,
    those of a resource from the oldest on, so that what stays of it has no gap.
    """

    type: str | None = None
    id: str | None = None
    previous: bool = False
    deleted: bool = False
    limit: int = 1000


class Kept(NamedTuple):
    """A version as another store kept it, with the entries of its body.

    `body` is what this store is to keep, where that is not what the version has.
    """

    version: Version
    entries: Entries
    body: Body | None = None


class Rewritten(NamedTuple):
    """Other bytes for a version that stays as it is, if it still has those `before`."""

    type: str
    id: str
    version: int
    before: bytes
    after: bytes


class Explanation(NamedTuple):
    """A step of how a store runs a search: what it is, what is told of it, and its own steps."""

    name: str
    figures: tuple[tuple[str, str | int], ...]
    steps: tuple[Explanation, ...]


class Reads(Protocol):
    """Reads by key."""

    async def read(self, type: str, id: str, version: int | None = None) -> Version | None:
        """The current version (or the given one); None if there never was one."""

    async def read_many(self, keys: Sequence[Key]) -> Sequence[Version]:
        """The current versions of those keys that exist and are not deleted, in order of keys."""

    async def heads(self, keys: Sequence[Key]) -> Mapping[Key, Version]:
        """What `read` gives of each of those keys that ever existed, deletions included."""

    async def history(self, query: HistoryQuery) -> HistoryPage: ...


class Searches(Protocol):
    """What is found, walked through and counted."""

    async def search(self, query: Query) -> SearchPage:
        """Current, undeleted resources that match.

        A walk over the pages gives a resource that does not change while it lasts exactly once,
        and no resource that was created after its first page.
        """

    async def explain(self, query: Query) -> Explanation:
        """How `search` answers the query here, and what that costs; it has no resource in it."""

    def log(self, query: LogQuery) -> AsyncIterator[Version]:
        """The versions of the query, oldest first, in one snapshot of the store."""

    def scan(self, type: str | None = None) -> AsyncIterator[Version]:
        """Every current, undeleted version (of a type), in the store's order."""

    async def counts(self) -> dict[str, int]:
        """How many current resources there are, by type (types with none left out)."""


class Writes(Protocol):
    """What is changed."""

    async def commit(
        self,
        changes: Sequence[Change],
        before: Sequence[Expectation] = (),
        after: Sequence[Expectation] = (),
        unchanged: Unchanged | None = None,
        note: bytes | None = None,
    ) -> Committed:
        """All changes, or none; durable when it returns.

        `before` and `unchanged` must hold on the state before the changes, `after` on the state
        with them. Raises `Stale` when a precondition or expectation does not hold, `Outdated`
        when it is `unchanged`. A `note` is kept until it is forgotten (`ServerStore.noted`).
        """


class Keeps(Protocol):
    """What concerns the store as a whole."""

    async def reindex(self, entered: Sequence[Entered], unchanged: Unchanged | None = None) -> int:
        """Gives current versions other entries; no version, instant or history changes.

        Those that are no longer current are passed over; the number of the others. Durable
        when it returns. Raises `Outdated` when `unchanged` does not hold.
        """

    async def expunge(self, what: Expunge) -> int:
        """Takes versions out for good, with their bytes, entries and words; how many they were.

        A resource of which no version is left was never there, and may begin again with
        version 1. Numbers of commits are not given twice.
        """

    async def restore(self, versions: Sequence[Kept]) -> None:
        """Versions with the numbers, instants and bytes that another store gave them.

        For moving between stores, while nobody else writes. They come in the order of their
        commits. Raises `Stale` for a version that is not newer than what is there, and for an
        instant before that of the last commit; then nothing was restored.
        """


class Store(Reads, Searches, Writes, Keeps, Protocol):
    """The verbs. All reads see only durable commits; a read after an awaited commit sees it.

    `atomic`: a commit may have several changes. A store that has no transactions says False,
    and refuses such commits with `NotSupported`.
    """

    @property
    def atomic(self) -> bool: ...

    async def latest(self, type: str) -> int:
        """A number that grows with every commit of that type; 0 where there was none."""

    async def close(self) -> None: ...


class ServerStore(Store, Protocol):
    """A store with what is the server's own, for those who serve it rather than its callers."""

    @property
    def records(self) -> Records: ...

    @property
    def concepts(self) -> ConceptStore: ...

    async def noted(self) -> Sequence[Noted]:
        """The notes of commits that are not forgotten, oldest first."""

    def forget(self, numbers: Sequence[int]) -> None:
        """Notes of commits need not be kept: they go with a later commit, or when it is closed."""

    async def rewrite(self, bodies: Sequence[Rewritten]) -> int:
        """Keeps versions in other bytes that mean the same; how many there were to be kept so.

        For sealing anew. No version, instant, entry or history changes. Durable on return.
        """
