"""The store as a grant lets it be seen: the whole port, one class for each group of verbs."""

from fhirserver.access.guard.store import GuardedStore

__all__ = ["GuardedStore"]
