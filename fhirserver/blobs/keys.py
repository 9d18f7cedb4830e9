"""The keys of what lies beside a sealed store: its blobs, and the archive's headers.

They are random, and kept in one record of the sealed store: so the tenant's data keys seal them,
a rotation of these seals them anew without touching a blob, and whoever destroys the tenant's
keys has destroyed them too (docs/encryption.md). Each use has a key of its own, derived by
HKDF-SHA-256 (RFC 5869).
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import Final

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fhirserver.errors import Unavailable
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Records

COLLECTION: Final = "blobs.keys"
_RECORD: Final = "root"
_BYTES: Final = 32


class _Roots(msgspec.Struct, frozen=True):
    """Keys by their number in decimal digits, in base64."""

    keys: dict[str, str]


class ContentKeys:
    """What is derived from the keys of one tenant. `current` is the number of the newest one."""

    def __init__(self, tenant: str, roots: dict[int, bytes]) -> None:
        self._tenant = tenant.encode()
        self._roots = roots
        self.current = max(roots)

    def derived(self, use: str, salt: bytes = b"", number: int = 1) -> bytes:
        """A key of 32 bytes for one use. Raises `Unavailable` for a number that is not known."""
        root = self._roots.get(number)
        if root is None:
            raise Unavailable(f"Content is sealed under key {number}, which this server has not.")
        info = b"fhirserver|%b|%b" % (self._tenant, use.encode())
        return HKDF(SHA256(), _BYTES, salt or None, info).derive(root)


async def content_keys(records: Records, tenant: str) -> ContentKeys:
    """The keys of a tenant, made when there are none. `records` are those of a sealed store."""
    found = await records.get(COLLECTION, _RECORD)
    if found is None:
        made = _Roots({"1": b64encode(os.urandom(_BYTES)).decode()})
        with suppress(Stale):  # another process has made them
            await records.put(COLLECTION, _RECORD, msgspec.json.encode(made), expected=ABSENT)
        found = await records.get(COLLECTION, _RECORD)
        if found is None:
            raise Unavailable("The keys of the blobs cannot be kept.")
    roots = msgspec.json.decode(found.body, type=_Roots).keys
    return ContentKeys(tenant, {int(number): b64decode(key) for number, key in roots.items()})
