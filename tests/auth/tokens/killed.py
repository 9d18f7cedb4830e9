"""A process that is killed at one of its writes while it answers a token request.

The processes are forked from one that has imported all that they need.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from serving import started

from fhirserver import Settings, create_app
from fhirserver.audit.journal import Journal
from fhirserver.store.sqlite.records import SqliteRecords


class Ask(NamedTuple):
    """A form for an endpoint, and the write at which the process ends: before or after it."""

    path: str
    form: dict[str, str]
    write: int
    after: bool


def told(data: Path, ask: Ask) -> tuple[int, Any] | None:
    """Status and body that the process gave; None where it was killed before."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    out, into = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(data, ask, into))
    process.start()
    into.close()
    try:
        answer: tuple[int, Any] = out.recv()
    except EOFError:
        answer = (0, None)
    out.close()
    process.join(60)
    if answer[0]:
        assert process.exitcode == 0
        return answer
    assert process.exitcode == -signal.SIGKILL
    return None


def _run(data: Path, ask: Ask, into: Connection) -> None:
    into.send(asyncio.run(_answer(data, ask)))


async def _answer(data: Path, ask: Ask) -> tuple[int, Any]:
    app = create_app(Settings(data=data, auth="smart"))
    async with started(app):
        _arm(ask.write, ask.after)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            answer = await http.post(ask.path, data=ask.form)
            _arm(0, after=False)
            return answer.status_code, answer.json() if answer.content else None


_put, _delete, _record = SqliteRecords.put, SqliteRecords.delete, Journal.put


def _arm(write: int, after: bool) -> None:
    left = [write]

    def guarded(work: Any) -> Any:
        async def run(*arguments: Any, **more: Any) -> Any:
            left[0] -= 1
            is_it = left[0] == 0
            if is_it and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            found = await work(*arguments, **more)
            if is_it:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        return run

    SqliteRecords.put = guarded(_put)  # type: ignore[method-assign]
    SqliteRecords.delete = guarded(_delete)  # type: ignore[method-assign]
    Journal.put = guarded(_record)  # type: ignore[method-assign]
