"""Notes: who made which versions, kept with their commit until its events are on record.

The store writes a note and the versions in one transaction, so that a process that ends between
a commit and its event leaves what the event can be made of (`audit.recovery`). A note is sealed
under a key made from the audit key: nobody else can read one, or make one up.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import count
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhirserver.audit.agents import Caller
from fhirserver.audit.event import Access
from fhirserver.audit.imaging import IMAGING
from fhirserver.store.port import Change, Method, Noted, ServerStore

_SALT: Final = 16  # bytes
_NONCE: Final = 12


class Made(NamedTuple):
    """A version that a commit made, or (`DELETE`) the deletion of a resource."""

    type: str
    id: str
    version: int
    method: Method

    def tell(self, access: Access) -> None:
        """Makes it what the access was about."""
        access.data = (self.type, self.id, self.version)
        if self.method == "DELETE":
            access.subtype, access.action = "delete", "D"
        elif self.version == 1 or self.method == "POST":
            access.subtype, access.action = "create", "C"
        else:
            access.subtype = "patch" if self.method == "PATCH" else "update"
            access.action = "U"


def made_by(change: Change) -> Made:
    """What a commit makes of a change."""
    return Made(change.type, change.id, change.version, change.method)


class Note(msgspec.Struct, array_like=True):
    """What a note says. `imaging` is the code of a row of `audit.imaging`, or nothing."""

    caller: Caller
    request_id: str
    operation: str
    imaging: str
    made: list[Made]

    def access(self) -> Access:
        """The access that made one of the versions; which, is to be told (`Made.tell`)."""
        imaging = IMAGING.get(self.imaging)
        return Access(
            "", "U", self.caller, self.request_id, operation=self.operation, imaging=imaging
        )


class Notes:
    """The notes of a tenant's store. `key` is the audit key."""

    def __init__(self, store: ServerStore, key: bytes, tenant: str) -> None:
        self._store = store
        self._key = hmac.digest(key, b"note|" + tenant.encode(), "sha256")
        self._salt = os.urandom(_SALT)  # each process has a key of its own, and counts under it
        self._cipher = self._cipher_of(self._salt)
        self._count = count(1)

    def of(self, access: Access, changes: Iterable[Change]) -> bytes:
        """The note of a commit that an interaction is about to make."""
        imaging = access.imaging.code if access.imaging is not None else ""
        said = (
            msgspec.Raw(_packed(access.caller)),
            access.request_id,
            access.operation,
            imaging,
            [made_by(change) for change in changes],
        )
        nonce = next(self._count).to_bytes(_NONCE, "big")
        return self._salt + nonce + self._cipher.encrypt(nonce, msgspec.msgpack.encode(said), None)

    def read(self, note: bytes) -> Note | None:
        """What a note says; None for one that was not made with this key, or was altered."""
        salt, nonce = note[:_SALT], note[_SALT : _SALT + _NONCE]
        try:
            said = self._cipher_of(salt).decrypt(nonce, note[_SALT + _NONCE :], None)
        except (InvalidTag, ValueError):
            return None
        return msgspec.msgpack.decode(said, type=Note)

    async def left(self) -> Sequence[Noted]:
        """Those of commits of which it is not known yet that they are on record."""
        return await self._store.noted()

    def forget(self, numbers: Sequence[int]) -> None:
        """Commits of those numbers are on record."""
        self._store.forget(numbers)

    def _cipher_of(self, salt: bytes) -> AESGCM:
        return AESGCM(hmac.digest(self._key, salt, "sha256"))


@lru_cache(maxsize=4096)
def _packed(caller: Caller) -> bytes:
    """A caller, without what no event says of one."""
    principal = caller.principal
    if principal is not None:
        principal = replace(principal, scopes=None, patient=None, encounter=None, methods=())
    return msgspec.msgpack.encode(caller._replace(principal=principal))
