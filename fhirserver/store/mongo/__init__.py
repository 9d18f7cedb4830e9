"""A store in a MongoDB database: a replica set, a sharded cluster, or a compatible server."""

from fhirserver.store.mongo.store import MongoStore

__all__ = ["MongoStore"]
