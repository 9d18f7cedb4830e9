"""What filing audit events costs: from a journal's folder into a SQLite store, in process.

    python benchmarks/filing.py [--events 60000] [--patients 5000] [--kinds plain,sealed] [--split]

The events are of reads of so many patients in turn: what events share is read once. Microseconds of
processor time an event, of elapsed time, and bytes that went to the disk, medians of `--rounds`;
with `--split` where the processor time goes: reading segments (decryption, unpacking), the changes
made of them, sealing, gathering of rows, the statements of each table, commits and checkpoints.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import tempfile
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from read import PATIENT

from fhirserver.app.audit import journal_of, key_of
from fhirserver.app.filing import Filer
from fhirserver.app.stores import open_inner, sealed_by
from fhirserver.audit import segment
from fhirserver.audit.agents import Caller
from fhirserver.audit.chain import Place, genesis, links
from fhirserver.audit.event import read_content
from fhirserver.audit.segment import Segments
from fhirserver.settings import DEFAULT_TENANT, Settings
from fhirserver.store.sealed import SealedStore
from fhirserver.store.sqlite import changes
from fhirserver.store.sqlite.changes import Batch
from fhirserver.store.sqlite.connection import Connection
from fhirserver.store.sqlite.known import KnownResources

_GROUP: Final = 32  # events of a segment, as 32 connections make them
_SEALED: Final = {"encryption": "on", "encryption_key": "env:BENCHMARK_KEY"}
_KINDS: Final[dict[str, dict[str, Any]]] = {"plain": {}, "sealed": _SEALED}


class Cost(NamedTuple):
    """Of an event: microseconds of processor and of elapsed time, bytes written."""

    cpu: float
    elapsed: float
    written: float


def main() -> None:
    options = _options()
    gc.freeze()  # as the process that files does
    gc.disable()
    os.environ["BENCHMARK_KEY"] = b64encode(bytes(range(32))).decode()
    for kind in options.kinds.split(","):
        costs = []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                costs.append(asyncio.run(_filed(_settings(folder, kind), options)))
        cpu, elapsed, written = (statistics.median(values) for values in zip(*costs, strict=True))
        print(
            f"filing, {kind}: {cpu:.1f} us of processor time an event "
            f"({' '.join(f'{cost.cpu:.1f}' for cost in costs)}), {elapsed:.1f} us elapsed, "
            f"{written / 1024:.2f} KB written"
        )
        if options.split:
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                split = _Split()
                cost = asyncio.run(_filed(_settings(folder, kind), options))
                split.tell(options.events, cost.cpu)


def _settings(folder: str, kind: str) -> Settings:
    return Settings(data=Path(folder), auth="none", audit="on", **_KINDS[kind])


async def _filed(settings: Settings, options: argparse.Namespace) -> Cost:
    inner = await open_inner(settings)
    store = await sealed_by(settings, inner)
    journal = journal_of(settings)
    assert journal is not None
    await _recorded(Segments(store, journal, key_of(settings)), key_of(settings), options)
    journal.hand_over()
    filer = Filer(settings, inner, store)
    before, begun, written = time.process_time(), time.perf_counter(), _written()
    while filer.waiting():
        await filer.file(DEFAULT_TENANT)
    cpu, elapsed = time.process_time() - before, time.perf_counter() - begun
    written = _written() - written
    assert (await store.counts())["AuditEvent"] == options.events
    await store.close()
    each = 1e6 / options.events
    return Cost(cpu * each, elapsed * each, written / options.events)


async def _recorded(segments: Segments, key: bytes, options: argparse.Namespace) -> None:
    """Reads by one caller, in segments, as `audit.py` makes them."""
    caller, now = Caller(None, "127.0.0.1", "localhost"), time.time_ns() // 1000
    worker = os.urandom(4).hex()
    before, number = genesis(key, DEFAULT_TENANT, 1), 0
    while number < options.events:
        first = Place(1, number + 1)
        contents = []
        for _ in range(min(_GROUP, options.events - number)):
            number += 1
            patient = f"{PATIENT['id']}{number % options.patients}"
            data, asked = ("Patient", patient, 1), f"{worker}-{number:x}"
            contents.append(read_content("read", caller, asked, data, patient, now + number * 80))
        made = links(key, before, first, contents)
        await segments.keep(first, made, contents)
        before = made[-1]


def _written() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


class _Split:
    """Where the time goes, while it is in place. It takes some time itself."""

    def __init__(self) -> None:
        self._spent: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()
        self._undo: list[tuple[Any, str, Any]] = []
        self._begun = self._garbage = 0.0
        gc.callbacks.append(self._collected)
        self._wrap(Segments, "_opened", lambda *_: "decrypt, unpack")
        self._wrap(segment, "change_of", lambda *_: "entries, stored form")
        self._wrap(SealedStore, "_sealed", lambda *_: "blind index")
        self._wrap(KnownResources, "expect", lambda *_: "look up what is known")
        self._wrap(Batch, "add", lambda *_: "gather rows, stamp, seal")
        self._wrap(changes, "insert", lambda _, table, rows: f"insert {table}")
        self._wrap(Connection, "execute", _of_statement)

    def tell(self, events: int, cpu: float) -> None:
        gc.callbacks.remove(self._collected)
        for owner, name, made in self._undo:
            setattr(owner, name, made)
        print(f"  with the split: {cpu:.1f} us an event")
        for part, spent in self._spent.most_common():
            print(f"  {part:28} {spent / events * 1e6:6.2f} us   {self._calls[part]:7} times")
        rest = cpu - sum(self._spent.values()) / events * 1e6
        print(f"  {'the rest':28} {rest:6.2f} us")
        print(f"  {'in all of them: garbage':28} {self._garbage / events * 1e6:6.2f} us")

    def _collected(self, phase: str, _: dict[str, int]) -> None:
        self._begun, begun = time.thread_time(), self._begun
        if phase == "stop":
            self._garbage += self._begun - begun

    def _wrap(self, owner: Any, name: str, part_of: Callable[..., str]) -> None:
        made, spent, calls = getattr(owner, name), self._spent, self._calls

        def timed(*args: Any, **more: Any) -> Any:
            part = part_of(*args)
            if not part:
                return made(*args, **more)
            before = time.thread_time()
            try:
                return made(*args, **more)
            finally:
                spent[part] += time.thread_time() - before
                calls[part] += 1

        self._undo.append((owner, name, made))
        setattr(owner, name, timed)


def _of_statement(connection: Connection, statement: str, *_: Any) -> str:
    return "commit, checkpoint" if statement == "COMMIT" else ""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--patients", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", default=",".join(_KINDS))
    parser.add_argument("--folder", help="where the stores are made")
    parser.add_argument("--split", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
