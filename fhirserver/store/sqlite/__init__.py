"""A store in one SQLite file."""

from fhirserver.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
