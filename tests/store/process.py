"""What the crash and race tests run as processes of their own: `python process.py ROLE FILE ...`.

It tells on its output, line by line, what was acknowledged.
"""

from __future__ import annotations

import asyncio
import sys
import time
from itertools import count

from store.making import put

from fhirserver.errors import Unavailable
from fhirserver.search.entry import Token
from fhirserver.search.expression import TokenIs, TokenValue
from fhirserver.store.port import Expectation, Stale, Store
from fhirserver.store.sqlite import SqliteStore

TASKS = 8
RACERS = 16
ONLY = TokenIs("identifier", (TokenValue("", "only"),))


def tagged(tag: str) -> dict[str, tuple[Token, ...]]:
    return {"tag": (Token("", tag),)}


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def write(store: Store, run: str) -> None:
    """Transactions of three resources and updates of one, until somebody ends the process."""

    async def transactions(task: int) -> None:
        for n in count():
            tag = f"{run}-{task}-{n}"
            entries = tagged(tag)
            await store.commit(
                [put(type, tag, entries=entries) for type in ("Patient", "Group", "Device")]
            )
            tell(f"transaction {tag}")

    async def updates() -> None:
        for version in count(1):
            await store.commit([put("Patient", f"{run}-updated", version, tagged(f"v{version}"))])
            tell(f"update {run} {version}")

    tell("begun")
    await asyncio.gather(*(transactions(task) for task in range(TASKS)), updates())


async def _race(store: Store, run: str, version: int, expected: list[Expectation]) -> None:
    tell("ready")
    await asyncio.sleep(max(0.0, float(sys.argv[4]) - time.time()))

    async def one(n: int) -> None:
        id = "updated" if version > 1 else f"{run}-{n}"
        entries = {"identifier": (Token("", "only"),)}
        try:
            await store.commit([put("Patient", id, version, entries, by=run)], before=expected)
        except Stale:
            return
        tell(f"won {id}")

    await asyncio.gather(*(one(n) for n in range(RACERS)))
    tell("done")


async def create(store: Store, run: str) -> None:
    """Racing creates of what nobody else may have created."""
    await _race(store, run, 1, [Expectation(("Patient",), ONLY, ())])


async def update(store: Store, run: str) -> None:
    """Racing updates of one version."""
    await _race(store, run, 2, [])


async def fill(store: Store, run: str) -> None:
    """Large commits, until one is refused; then a small one, when there is room again."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    for n in count():
        ids = [f"{n}-{k}" for k in range(20)]
        try:
            await store.commit([put("Patient", id, text="x" * 5000) for id in ids])
        except Unavailable as refusal:
            tell(f"refused {refusal.text}")
            break
        tell(f"written {n}")
    found = [await store.read("Patient", id) for id in ids]
    tell(f"left {sum(version is not None for version in found)}")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await store.commit([put("Patient", "after")])
    tell("written after")


async def main() -> None:
    role, path, run = sys.argv[1:4]
    store = SqliteStore.open(path, clock=lambda: time.time_ns() // 1000)
    await {"write": write, "create": create, "update": update, "fill": fill}[role](store, run)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main())
