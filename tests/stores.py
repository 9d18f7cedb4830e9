"""The stores that tests run on, by the same code: SQLite, and MongoDB over the wire.

A test that asks for the fixture `each_store` runs once on each. What opens a store for it asks
`url_of` which database stands for the SQLite file or the data folder that it was given.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fhirserver.store.port import ServerStore

if TYPE_CHECKING:
    from pymongo import IndexModel

SQLITE = "sqlite"
MONGODB = "mongodb"


class Databases:
    """Databases with all indexes on one server, which are dropped at the end."""

    def __init__(self, address: str) -> None:
        from pymongo import MongoClient

        self._address = address
        self._client: MongoClient[dict[str, Any]] = MongoClient(address)
        self._made: list[str] = []

    def fresh(self) -> str:
        """The URL of a new one."""
        from fhirserver.store.mongo.layout import COLLECTION, layout_document

        name = f"fhirserver_test_{uuid.uuid4().hex[:12]}"
        self._made.append(name)
        for collection, models in self._models().items():
            self._client[name][collection].create_indexes(models)
        self._client[name][COLLECTION].insert_one(layout_document())
        return url_of_database(self._address, name)

    @cache  # noqa: B019 - these objects last as long as a module of tests
    def _models(self) -> dict[str, list[IndexModel]]:
        """The store's indexes by collection; plain ones on FerretDB, which has no others."""
        from fhirserver.store.mongo.indexes import INDEXES

        is_ferretdb = "ferretdbVersion" in self._client.server_info()
        models: dict[str, list[IndexModel]] = {}
        for index in INDEXES:
            model = (
                replace(index, partial=None, expires=False).model if is_ferretdb else index.model
            )
            models.setdefault(index.collection, []).append(model)
        return models

    def drop(self) -> None:
        for name in self._made:
            self._client.drop_database(name)
        self._client.close()


def url_of_database(address: str, name: str) -> str:
    """The address with the name of a database in it."""
    base, _, options = address.partition("?")
    return f"{base.rstrip('/')}/{name}" + (f"?{options}" if options else "")


_databases: Databases | None = None
_places: dict[Path, str] = {}


@contextmanager
def databases(address: str) -> Iterator[Databases]:
    """Databases that last as long as the block."""
    found = Databases(address)
    try:
        yield found
    finally:
        found.drop()


@contextmanager
def on_mongodb(address: str) -> Iterator[None]:
    """Until the end of the block, databases of that server stand for files and folders."""
    global _databases
    with databases(address) as found:
        _databases = found
        try:
            yield
        finally:
            _databases = None
            _places.clear()


def url_of(place: Path) -> str | None:
    """The database that stands for a store's file, or for the data folder that it lies in.

    The same place has the same database. None when SQLite itself is to be used.
    """
    if _databases is None:
        return None
    file = place if place.suffix == ".db" else place / "fhir.db"
    if file not in _places:
        _places[file] = _databases.fresh()
    return _places[file]


async def open_store(file: Path, clock: Callable[[], int]) -> ServerStore:
    """The store of a file, or what stands for it."""
    url = url_of(file)
    if url is None:
        from fhirserver.store.sqlite import SqliteStore

        return SqliteStore.open(file, clock=clock)
    from fhirserver.store.mongo import MongoStore

    return await MongoStore.open(url, clock=clock)
