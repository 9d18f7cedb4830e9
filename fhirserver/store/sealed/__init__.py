"""Encryption at rest: sealed content and a blind index over any store (docs/encryption.md)."""

from fhirserver.store.sealed.keys import shred
from fhirserver.store.sealed.master import MasterKey, master_of
from fhirserver.store.sealed.store import SealedStore, check_plain, open_sealed

__all__ = ["MasterKey", "SealedStore", "check_plain", "master_of", "open_sealed", "shred"]
