"""A process that is killed at one of its writes while it makes versions.

The processes are forked from one that has imported all that they need.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from audit.conftest import observation, opened, patient
from stores import url_of

from fhirserver.audit.filing import Filing
from fhirserver.audit.journal import Journal
from fhirserver.audit.recorder import Origin
from fhirserver.audit.shelf import RecordShelf
from fhirserver.store.mongo import MongoStore
from fhirserver.store.mongo.guard import Guard
from fhirserver.store.sqlite import SqliteStore
from fhirserver.store.sqlite.writer import Writer

_ENTRIES = [
    {"request": {"method": "PUT", "url": "Patient/p3"}, "resource": patient("p3")},
    {"request": {"method": "PUT", "url": "Patient/p1"}, "resource": patient("p1", active=True)},
    {"request": {"method": "DELETE", "url": "Observation/o2"}},
]
WRITES: tuple[tuple[type, str], ...] = (
    (SqliteStore, "commit"),
    (Writer, "write"),
    (Journal, "put"),
    (MongoStore, "commit"),
    (Guard, "write"),
    (RecordShelf, "put"),
)
_OTHERS = [
    {
        "request": {"method": "PUT", "url": f"Patient/p{n}"},
        "resource": patient(f"p{n}", active=False),
    }
    for n in (1, 4)
]
ASKED: tuple[tuple[str, str | None, dict[str, Any]], ...] = (
    ("update", "Patient", {"id": "p1", "resource": patient("p1")}),
    ("update", "Observation", {"id": "o1", "resource": observation("o1", "p1")}),
    ("update", "Observation", {"id": "o2", "resource": observation("o2", "p1")}),
    ("update", "Observation", {"id": "o1", "resource": observation("o1", "p2")}),
    ("delete", "Observation", {"id": "o1"}),
    (
        "transaction",
        None,
        {"resource": {"resourceType": "Bundle", "type": "transaction", "entry": _ENTRIES}},
    ),
    ("batch", None, {"resource": {"resourceType": "Bundle", "type": "batch", "entry": _OTHERS}}),
)


def answered(data: Path, write: int, after: bool) -> tuple[list[str], bool]:
    """The requests that were answered, and whether the process was killed: before or after one
    of its writes, its first, its second, ... It uses the store that `data` has here."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    out, into = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(data, url_of(data), write, after, into))
    process.start()
    into.close()
    told = []
    while True:
        try:
            told.append(out.recv())
        except EOFError:
            break
    out.close()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return told, process.exitcode != 0


AT_A_TIME = len(ASKED) - 1
"""Of them make one commit at a time."""


async def _not_now(filing: Filing) -> None:
    return None


def _run(data: Path, url: str | None, write: int, after: bool, into: Connection) -> None:
    more = {"store": url} if url else {}
    asyncio.run(_ask(data, more, write, after, into))


async def _ask(data: Path, more: dict[str, str], write: int, after: bool, into: Connection) -> None:
    async with opened(data, **more) as world:
        writes = count(1)

        def guarded(work: Any) -> Any:
            async def run(*arguments: Any, **more: Any) -> Any:
                is_it = next(writes) == write
                if is_it and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                found = await work(*arguments, **more)
                if is_it:
                    os.kill(os.getpid(), signal.SIGKILL)
                return found

            return run

        asked = ASKED
        if more:  # who is killed in a transaction of MongoDB holds others up for a minute
            Filing.keep_up = _not_now  # type: ignore[method-assign]
            asked = ASKED[:AT_A_TIME]
        for of, verb in WRITES:
            setattr(of, verb, guarded(getattr(of, verb)))
        for number, (interaction, type, more) in enumerate(asked):
            origin = Origin("192.0.2.7", "example.org", f"req-{number}")
            await world.ask(interaction, type, **more, origin=origin)
            into.send(f"req-{number}")
