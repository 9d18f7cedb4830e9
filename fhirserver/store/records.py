"""The store port for what is the server's own and no FHIR resource: jobs, grants, sessions.

A record is a text key in a named collection, with a body that only its owner reads. What is
guaranteed is compare-and-set of one record; there is no commit of several, so a rule that
spans records must hold in whatever order they are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

MAX_LISTED: Final = 1000
"""The most records that one listing gives."""

ABSENT: Final = 0
"""The revision of a record that is not there."""


class Place(NamedTuple):
    """Where a record is."""

    collection: str
    key: str


class Record(NamedTuple):
    """`revision` is a number that no earlier record of that key had, deleted ones included.

    From `expires` on (microseconds since 1970, None: never), the record is not there.
    """

    key: str
    revision: int
    body: bytes
    expires: int | None = None


class Records(Protocol):
    """The verbs. What is read is durable; a read after an awaited write sees it."""

    async def get(self, collection: str, key: str) -> Record | None:
        """The record of that key; None where there is none."""

    async def get_many(self, keys: Sequence[Place]) -> Sequence[Record | None]:
        """What `get` gives for each of the keys, which are few; as of one moment, where the
        store has such."""

    async def put(
        self,
        collection: str,
        key: str,
        body: bytes,
        *,
        expected: int | None = None,
        expires: int | None = None,
    ) -> int:
        """Writes the record, durable on return; gives its new revision, greater than the last.

        `expected` is the revision that it must have, `ABSENT` if it must not be there, None if
        that does not matter. Raises `fhirserver.store.port.Stale` where it is another.
        """

    async def delete(self, collection: str, key: str, *, expected: int | None = None) -> None:
        """Takes the record away, if it is there; `expected` and `Stale` as for `put`."""

    async def list(
        self, collection: str, *, prefix: str = "", after: str = "", count: int = MAX_LISTED
    ) -> Sequence[Record]:
        """Records in the order of their keys (by code point), at most `MAX_LISTED`.

        Those whose key begins with `prefix` and comes behind `after`.
        """

    async def collections(self) -> Sequence[str]:
        """The names of the collections that have records, in order."""
