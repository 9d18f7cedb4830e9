"""Notes: who made which versions, kept with their commit until its events are on record.

The store writes a note and the versions in one transaction, so that a process that ends between
a commit and its event leaves what the event can be made of (`audit.recovery`). A note is sealed
under a key made from the audit key: nobody else can read one, or make one up.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import msgspec

from fhirserver.audit.agents import Caller
from fhirserver.audit.event import Access
from fhirserver.audit.imaging import IMAGING
from fhirserver.store.port import Change, Method, Noted, ServerStore
from fhirserver.store.sealed.cipher import Altered
from fhirserver.store.sealed.salted import Salted


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
        of_tenant = hmac.digest(key, b"note|" + tenant.encode(), "sha256")
        self._salted = Salted(lambda salt: hmac.digest(of_tenant, salt, "sha256"))

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
        return self._salted.seal(msgspec.msgpack.encode(said), b"")

    def read(self, note: bytes) -> Note | None:
        """What a note says; None for one that was not made with this key, or was altered."""
        try:
            return msgspec.msgpack.decode(self._salted.open(note, b""), type=Note)
        except Altered:
            return None

    async def left(self) -> Sequence[Noted]:
        """Those of commits of which it is not known yet that they are on record."""
        return await self._store.noted()

    def forget(self, numbers: Sequence[int]) -> None:
        """Commits of those numbers are on record."""
        self._store.forget(numbers)


@lru_cache(maxsize=4096)
def _packed(caller: Caller) -> bytes:
    """A caller, without what no event says of one."""
    principal = caller.principal
    if principal is not None:
        principal = replace(principal, scopes=None, patient=None, encounter=None, methods=())
    return msgspec.msgpack.encode(caller._replace(principal=principal))
