"""The clients of a tenant, as records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from fhirserver.auth.client import Client, decode, encode
from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, MAX_LISTED, Records

COLLECTION: Final = "auth.client"


class Clients:
    """`now` gives microseconds since 1970."""

    def __init__(self, records: Records, *, now: Callable[[], int]) -> None:
        self._records = records
        self.now = now

    async def get(self, id: str) -> Client | None:
        """The client of a client_id, suspended ones included; None where there is none."""
        record = await self._records.get(COLLECTION, id)
        return None if record is None else decode(record.body)

    async def live(self, id: str) -> Client | None:
        """The client of a client_id; None where there is none, or it is suspended."""
        client = await self.get(id)
        return None if client is None or client.suspended else client

    async def add(self, client: Client) -> None:
        """Registers a client. Raises `Stale` where the client_id is taken."""
        await self._records.put(COLLECTION, client.id, encode(client), expected=ABSENT)

    async def change(self, id: str, **fields: Any) -> Client | None:
        """The client with other fields; None where there is none."""
        while True:
            record = await self._records.get(COLLECTION, id)
            if record is None:
                return None
            client = msgspec.structs.replace(decode(record.body), **fields)
            try:
                await self._records.put(COLLECTION, id, encode(client), expected=record.revision)
            except Stale:
                continue
            return client

    async def remove(self, id: str) -> bool:
        """Takes a client away, and so all its access; False where there was none."""
        if await self.get(id) is None:
            return False
        await self._records.delete(COLLECTION, id)
        return True

    async def all(self) -> list[Client]:
        """The clients in the order of their ids."""
        found: list[Client] = []
        after = ""
        while True:
            records = await self._records.list(COLLECTION, after=after)
            found += [decode(record.body) for record in records]
            if len(records) < MAX_LISTED:
                return found
            after = records[-1].key
