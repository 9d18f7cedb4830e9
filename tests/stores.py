"""The stores that tests run on, by the same code: SQLite, and MongoDB over the wire.

A test that asks for the fixture `each_store` runs once on each. What opens a store for it asks
`url_of` which database stands for the SQLite file or the data folder that it was given.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fhirserver.store.port import Store

SQLITE = "sqlite"
MONGODB = "mongodb"

_address: str | None = None
_databases: dict[Path, str] = {}


@contextmanager
def on_mongodb(address: str) -> Iterator[None]:
    """Until the end of the block, databases of that server stand for files and folders."""
    from pymongo import MongoClient

    global _address
    _address = address
    try:
        yield
    finally:
        _address = None
        with MongoClient[dict[str, object]](address) as client:
            for url in _databases.values():
                client.drop_database(url.partition("?")[0].rpartition("/")[2])
        _databases.clear()


def url_of(place: Path) -> str | None:
    """The database that stands for a store's file, or for the data folder that it lies in.

    It has all indexes; the same place has the same. None when SQLite itself is to be used.
    """
    if _address is None:
        return None
    file = place if place.suffix == ".db" else place / "fhir.db"
    if file not in _databases:
        _databases[file] = fresh_database(_address)
    return _databases[file]


async def open_store(file: Path, now: Callable[[], int], patience: float = 30.0) -> Store:
    """The store of a file, or what stands for it."""
    url = url_of(file)
    if url is None:
        from fhirserver.store.sqlite import SqliteStore

        return SqliteStore.open(file, clock=now, patience=patience)
    from fhirserver.store.mongo import MongoStore

    return await MongoStore.open(url, clock=now, patience=patience)


def fresh_database(address: str) -> str:
    """The URL of a new database with all indexes. To be dropped by whoever asked for it."""
    from pymongo import MongoClient

    from fhirserver.store.mongo.indexes import INDEXES

    url = new_url(address)
    with MongoClient[dict[str, object]](url) as client:
        database = client.get_default_database()
        for name in {index.collection for index in INDEXES}:
            database[name].create_indexes(
                [index.model for index in INDEXES if index.collection == name]
            )
    return url


def new_url(address: str) -> str:
    """The URL of a database that is not there yet."""
    base, _, options = address.partition("?")
    name = f"fhirserver_test_{uuid.uuid4().hex[:12]}"
    return f"{base.rstrip('/')}/{name}" + (f"?{options}" if options else "")
