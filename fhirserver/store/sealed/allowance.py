"""How much was sealed under a data key: no more than random nonces allow.

NIST SP 800-38D section 8.3: at most 2^32 messages under one key of AES-GCM whose nonces are
random. Processes take what they may seal from the store in blocks, by compare-and-set, and use it
up in memory. What a process that ends did not use is lost, so that the count is never too low.
"""

from __future__ import annotations

from typing import Final

from fhirserver.store.port import Stale
from fhirserver.store.records import ABSENT, Records

BOUND: Final = 1 << 31
"""Messages under one key: half of what is allowed, for commits that are sealed again."""

BLOCK: Final = 1 << 16
"""Messages that a process takes at once."""


class Allowance:
    """What one process may still seal under one key, `number`. `records` are not sealed."""

    def __init__(self, records: Records, collection: str, number: int) -> None:
        self._records = records
        self._collection = collection
        self.number = number
        self._left = 0

    def take(self, messages: int) -> bool:
        """Takes so many, if as many are left of the last block."""
        if self._left < messages:
            return False
        self._left -= messages
        return True

    async def extend(self, messages: int) -> bool:
        """Takes another block, of so many at the least; False where the key is used up."""
        wanted = max(BLOCK, messages)
        while True:
            revision, used = await self._used()
            if used + wanted > BOUND:
                return False
            body = str(used + wanted).encode()
            try:
                await self._records.put(self._collection, self._key, body, expected=revision)
            except Stale:
                continue
            self._left += wanted
            return True

    async def used(self) -> int:
        """How many were taken by all processes."""
        return (await self._used())[1]

    async def drop(self) -> None:
        """The key is no more."""
        await self._records.delete(self._collection, self._key)

    @property
    def _key(self) -> str:
        return f"used-{self.number}"

    async def _used(self) -> tuple[int, int]:
        found = await self._records.get(self._collection, self._key)
        return (ABSENT, 0) if found is None else (found.revision, int(found.body))
