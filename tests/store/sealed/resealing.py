"""What a test runs as a process of its own: `python resealing.py FILE` makes a key and seals anew.

It tells how many versions it has looked at.
"""

from __future__ import annotations

import asyncio
import sys
import time

from store.sealing import sealed

from fhirserver.store.sealed.reseal import reseal
from fhirserver.store.sqlite import SqliteStore


async def _told(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()
    await asyncio.sleep(0.2)  # to be ended there


async def main() -> None:
    def clock() -> int:
        return time.time_ns() // 1000

    store = await sealed(SqliteStore.open(sys.argv[1], clock=clock), clock)
    await store.keys.rotate()
    await reseal(store, _told)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
