"""Short ways to write changes, and a clock that a test turns."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fhirserver.model.resource import draft
from fhirserver.search.entry import Entries
from fhirserver.store.port import Change, Method


class Clock:
    """Microseconds since 1970, as a test sets them."""

    def __init__(self) -> None:
        self.now = 1_000_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def put(
    type: str,
    id: str,
    version: int = 1,
    entries: Entries | None = None,
    method: Method = "PUT",
    **content: object,
) -> Change:
    """A version of a small resource."""
    body = draft({"resourceType": type, "id": id, **content}, id, version)
    return Change(type, id, version, method, body, entries or {})


def removal(type: str, id: str, version: int) -> Change:
    return Change(type, id, version, "DELETE", None)


@pytest.fixture(name="put")
def _put() -> Callable[..., Change]:
    return put


@pytest.fixture(name="removal")
def _removal() -> Callable[..., Change]:
    return removal
