"""The archive in a SQLite file of its own, beside the store's."""

from fhirserver.archive.sqlite.store import SqliteArchive

__all__ = ["SqliteArchive"]
