"""Durable creates by 16 clients over HTTP, against raw SQLite inserts of the same rows.

    python benchmarks/create.py [--rounds 3] [--seconds 4] [--clients 16] [--type Observation]

The floor takes the rows (bytes and index rows) that the server has written and inserts them
into a new file of the same schema with the same synchronous=FULL, without a server, Python
objects or checks: once with a commit for each resource, as a client that waits for its answer
would have it, and once with a commit for as many resources as there are clients, which is the
most that group commit can join.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import apsw
from server_process import ServerProcess, fhirserver

from fhirserver.demo.population import patients
from fhirserver.model.json import encode
from fhirserver.store.sqlite.connection import Connection
from fhirserver.store.sqlite.rows import WIDTHS
from fhirserver.store.sqlite.schema import prepare

DICTIONARIES = ("type", "param", "symbol")
TABLES = ("resource", "version", *WIDTHS)
FLOOR_RESOURCES = 3000


class Measured(NamedTuple):
    rate: float
    p50: float
    p99: float
    cpu: float


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        bodies = folder / "bodies.ndjson"
        size = write_bodies(bodies, options.type)
        print(f"{options.type} of {size} bytes on average, {options.clients} clients")
        for round_ in range(options.rounds):
            data = folder / f"data-{round_}"
            with fhirserver(data) as server:
                created(server, options, bodies, 1.0)  # warm
                ours = created(server, options, bodies, options.seconds)
            single = inserted(data / "fhir.db", folder / f"single-{round_}.db", 1)
            grouped = inserted(data / "fhir.db", folder / f"grouped-{round_}.db", options.clients)
            print(
                f"server {ours.rate:7.0f}/s (p50 {ours.p50:5.1f} ms, p99 {ours.p99:5.1f} ms, "
                f"{ours.cpu:4.0f} us CPU)  raw, 1 a commit {single:7.0f}/s: ratio "
                f"{ours.rate / single:.2f}  raw, {options.clients} a commit {grouped:7.0f}/s: "
                f"ratio {ours.rate / grouped:.2f}"
            )
            RATIOS.append((ours.rate / single, ours.rate / grouped))
    one, many = (statistics.median(column) for column in zip(*RATIOS, strict=True))
    print(f"median ratio {one:.2f} (floor 0.35) to single commits, {many:.2f} to joined ones")


RATIOS: list[tuple[float, float]] = []


def write_bodies(path: Path, type: str) -> int:
    """Resources of a type, a line each, without ids; gives their mean length."""
    lines = []
    for bundle in patients(40, 1, date(2026, 1, 5)):
        for entry in bundle["entry"]:
            resource: dict[str, Any] = entry["resource"]
            if resource["resourceType"] == type:
                lines.append(encode({key: resource[key] for key in resource if key != "id"}))
    path.write_bytes(b"\n".join(lines))
    return sum(map(len, lines)) // len(lines)


def created(
    server: ServerProcess, options: argparse.Namespace, bodies: Path, seconds: float
) -> Measured:
    client = str(Path(__file__).with_name("create_client.py"))
    command = [sys.executable, client, str(server.port), f"/fhir/{options.type}", str(bodies)]
    cpu = server.cpu_seconds()
    command += [str(options.clients), str(seconds)]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    cpu = server.cpu_seconds() - cpu
    told = json.loads(output)
    latencies = sorted(1000 * one for one in told["latencies"])
    count = len(latencies)
    return Measured(
        count / told["seconds"],
        latencies[count // 2],
        latencies[count * 99 // 100],
        cpu / count * 1e6,
    )


def inserted(source: Path, goal: Path, together: int) -> float:
    """Resources a second when the rows of `source` are inserted into a new file."""
    prepare(goal)
    read = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
    write = Connection(goal)
    for table in DICTIONARIES:
        rows = list(read.execute(f"SELECT * FROM {table}"))
        marks = ",".join("?" * len(rows[0]))
        write.executemany(f"INSERT OR IGNORE INTO {table} VALUES({marks})", rows)
    write.executemany(_insert("resource"), [row for row in _rows(read, "resource") if not row[4]])
    groups = list(_groups(read, together))
    begun = time.perf_counter()
    for group in groups:
        write.execute("BEGIN IMMEDIATE")
        for table, rows in group.items():
            write.executemany(_insert(table), rows)
        write.execute("COMMIT")
    took = time.perf_counter() - begun
    count = sum(len(group["resource"]) for group in groups)
    read.close()
    write.close()
    return count / took


def _groups(read: apsw.Connection, together: int) -> Iterator[dict[str, list[Any]]]:
    """The rows of so many resources at a time, by table, of all that have a version."""
    rids = [row[0] for row in _rows(read, "resource") if row[4]][:FLOOR_RESOURCES]
    for first in range(0, len(rids), together):
        group = rids[first : first + together]
        found = {
            table: [
                row
                for rid in group
                for row in read.execute(f"SELECT * FROM {table} WHERE rid=?", (rid,))
            ]
            for table in TABLES
        }
        yield {table: rows for table, rows in found.items() if rows}


def _rows(read: apsw.Connection, table: str) -> list[Any]:
    return list(read.execute(f"SELECT * FROM {table} ORDER BY rid"))


def _insert(table: str) -> str:
    width = {"resource": 8, "version": 7, **WIDTHS}[table]
    return f"INSERT INTO {table} VALUES({','.join('?' * width)})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--type", default="Observation")
    parser.add_argument("--folder", help="where the files are made, on the disk to be measured")
    return parser.parse_args()


if __name__ == "__main__":
    main()
