"""The archive in MongoDB, beside the store's collections."""

from fhirserver.archive.mongo.store import MongoArchive

__all__ = ["MongoArchive"]
