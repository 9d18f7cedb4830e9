"""Durable commits of a store against raw SQLite inserts of the same bytes and index rows.

    python benchmarks/store_create.py [--resources 4000] [--tasks 16] [--rounds 5]

Raw is a loop of prepared inserts in one thread, in the same durability mode (WAL, full
synchronization): once with a transaction for each resource, once for every `--tasks` of
them. The floor: at least 0.35 of raw. Reads and the bulk rate are told as well.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import apsw
from search import _of_patients

from fhirserver.store.port import Change
from fhirserver.store.sqlite import SqliteStore
from fhirserver.store.sqlite.connection import Connection
from fhirserver.store.sqlite.schema import prepare

TABLES = (
    "resource",
    "version",
    "token",
    "string",
    "date",
    "number",
    "quantity",
    "reference",
    "uri",
    "composite",
)
NAMES = ("type", "param", "symbol")

Rows = dict[int, dict[str, list[tuple[object, ...]]]]


async def _store(path: Path, changes: list[Change], tasks: int) -> float:
    """Commits a second, each change its own commit, by so many tasks at once."""
    store = SqliteStore.open(path, clock=lambda: time.time_ns() // 1000)
    waiting = iter(changes)

    async def work() -> None:
        for change in waiting:
            await store.commit([change])

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(tasks)))
    seconds = time.perf_counter() - began
    await store.close()
    return len(changes) / seconds


async def _bulk(path: Path, changes: list[Change]) -> tuple[float, float]:
    """Resources a second in one commit, and the microseconds of a read."""
    store = SqliteStore.open(path, clock=lambda: time.time_ns() // 1000)
    began = time.perf_counter()
    await store.commit(changes)
    rate = len(changes) / (time.perf_counter() - began)
    began = time.perf_counter()
    for change in changes:
        await store.read(change.type, change.id)
    reading = (time.perf_counter() - began) / len(changes)
    await store.close()
    return rate, reading * 1e6


def _rows_of(path: Path) -> tuple[Rows, dict[str, list[tuple[object, ...]]]]:
    """All rows by resource and table, and the tables of names."""
    connection = apsw.Connection(str(path))
    rows: Rows = {}
    for table in TABLES:
        at = 1 if table == "version" else 0
        for row in connection.execute(f"SELECT * FROM {table}"):
            rows.setdefault(row[at], {}).setdefault(table, []).append(row)
    names = {table: list(connection.execute(f"SELECT * FROM {table}")) for table in NAMES}
    connection.close()
    return rows, names


def _batches(rows: Rows, size: int) -> Iterator[list[dict[str, list[tuple[object, ...]]]]]:
    waiting = iter(rows.values())
    while batch := list(islice(waiting, size)):
        yield batch


def _raw(path: Path, source: Path, batch: int, resources: int) -> float:
    """Resources a second by plain inserts, so many in a transaction."""
    prepare(path)
    rows, names = _rows_of(source)
    connection = Connection(path)
    connection.wal_autocheckpoint(4000)
    for table, known in names.items():
        marks = ",".join("?" * len(known[0]))
        connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES({marks})", known)
    inserts = {
        table: f"INSERT INTO {table} VALUES({','.join('?' * len(found[0]))})"
        for of_resource in rows.values()
        for table, found in of_resource.items()
    }
    began = time.perf_counter()
    for some in _batches(rows, batch):
        connection.execute("BEGIN IMMEDIATE")
        for of_resource in some:
            for table, found in of_resource.items():
                connection.executemany(inserts[table], found)
        connection.execute("COMMIT")
    seconds = time.perf_counter() - began
    connection.close()
    return resources / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, default=4000)
    parser.add_argument("--tasks", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    changes = _of_patients(0, asked.resources, asked.resources)[: asked.resources]
    ratios = []
    for number in range(asked.rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            ours = asyncio.run(_store(folder / "ours.db", changes, asked.tasks))
            single = _raw(folder / "raw.db", folder / "ours.db", 1, len(changes))
            grouped = _raw(folder / "rawg.db", folder / "ours.db", asked.tasks, len(changes))
            again = asyncio.run(_store(folder / "again.db", changes, asked.tasks))
            bulk, reading = asyncio.run(_bulk(folder / "bulk.db", changes))
        ours = (ours + again) / 2
        ratios.append((ours / single, ours / grouped))
        print(
            f"round {number + 1}: store {ours:,.0f}/s, raw one by one {single:,.0f}/s "
            f"({ours / single:.2f}), raw by {asked.tasks} {grouped:,.0f}/s ({ours / grouped:.2f}), "
            f"bulk {bulk:,.0f}/s, read {reading:.1f} µs",
            flush=True,
        )
    one, many = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(f"median ratio to raw one by one {one:.2f}, by {asked.tasks} {many:.2f} (floor 0.35)")


if __name__ == "__main__":
    main()
