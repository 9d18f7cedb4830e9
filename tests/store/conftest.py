"""What tests of stores share: a clock, and databases of MongoDB's protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import stores
from store.making import Clock
from wire.server import FERRETDB, REPLICA_SET

KINDS = (
    pytest.param(REPLICA_SET, marks=pytest.mark.mongodb),
    pytest.param(FERRETDB, marks=[pytest.mark.mongodb, pytest.mark.slow]),
)
"""The servers of MongoDB's protocol; one of them in the usual run, both in the long one."""

FreshDatabase = Callable[[str], str]
"""Gives the URL of a new database on a kind of server."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def fresh_database(wire: Any) -> Iterator[FreshDatabase]:
    """Makes databases with all indexes on a kind of server; the end of the module drops them."""
    with ExitStack() as stack:
        found: dict[str, stores.Databases] = {}

        def fresh(kind: str) -> str:
            if kind not in found:
                found[kind] = stack.enter_context(stores.databases(wire.address(kind)))
            return found[kind].fresh()

        yield fresh


@pytest.fixture(scope="module", params=KINDS)
def mongo_database(request: pytest.FixtureRequest, fresh_database: FreshDatabase) -> str:
    """The URL of a database with all indexes, on each kind of server."""
    return fresh_database(request.param)
