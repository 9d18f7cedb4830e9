"""A walk through a store's log: where its pages begin, and what they hold."""

from __future__ import annotations

from typing import NamedTuple

from fhirserver.store.port import Version


class Place(NamedTuple):
    """The number after which a page begins, and where the snapshot ends, once that is chosen."""

    after: int
    until: int | None


class LogPage(NamedTuple):
    """`next` is None on the last page."""

    versions: list[Version]
    next: Place | None
