"""Loading the Synthea bundles: resources a second, where the time goes, bytes on disk.

    python benchmarks/load.py [folder, default ../shared/data/synthea] [--rounds 3] [--in-flight 8]
                              [--url] [--profile 25]

Loads through the gate into a new store, as `fhirserver load --data` does; `--url` also loads
into a running server. The floor: the same files read, unpacked and decoded, nothing else.
Size is that of all files of the store after it was closed (its WAL is then in the database).
`--profile N` prints the N functions of the loop's thread that took longest.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import apsw
from server_process import fhirserver

from fhirserver.cli.load import into_server, into_store, tune
from fhirserver.load.finding import Refusal
from fhirserver.load.journal import Journal
from fhirserver.load.reading import units
from fhirserver.load.source import Source, sources
from fhirserver.settings import Settings

DEFAULT = Path(__file__).resolve().parents[1] / "../shared/data/synthea"
LIMIT = 6 * 1024


class Quiet:
    """Watches, and stops at the first refusal."""

    def advanced(self, size: int, loaded: int) -> None:
        """Says nothing."""

    def refused(self, refusal: Refusal) -> None:
        """Ends the run."""
        raise SystemExit(str(refusal.as_json()))


class Measured(NamedTuple):
    """Resources; seconds on the clock, of CPU in all, in the loop's and the writer's thread."""

    resources: int
    clock: float
    cpu: float
    loop: float
    writer: float


def main() -> None:
    options = _options()
    found, _ = sources([options.folder])
    tune()
    rates = []
    with tempfile.TemporaryDirectory() as name:
        for number in range(options.rounds):
            data = Path(name) / f"data-{number}"
            read = floor(found)
            one = measured(found, data, options.in_flight)
            rates.append(one.resources / one.clock)
            print(
                f"{one.resources:,} resources in {one.clock:.1f} s: {rates[-1]:,.0f}/s "
                f"({one.cpu / one.resources * 1e6:.0f} us of CPU each: loop "
                f"{one.loop / one.resources * 1e6:.0f}, writer "
                f"{one.writer / one.resources * 1e6:.0f})  only read and decoded: "
                f"{one.resources / read:,.0f}/s"
            )
        tell_size(data, one.resources)
        if options.url:
            over_http(found, Path(name) / "http", options.in_flight)
        if options.profile:
            profiled(found, Path(name) / "profiled", options)
    print(f"median {statistics.median(rates):,.0f} resources a second")


def measured(found: list[Source], data: Path, in_flight: int) -> Measured:
    with writer_time() as writer:
        clock, cpu, loop = time.perf_counter(), time.process_time(), time.thread_time()
        settings = Settings(data=data, auth="none")
        tally = asyncio.run(into_store(settings, found, Journal(None), Quiet(), in_flight))
        return Measured(
            tally.loaded,
            time.perf_counter() - clock,
            time.process_time() - cpu,
            time.thread_time() - loop,
            writer.seconds,
        )


class writer_time:  # noqa: N801 - used as a function
    """Counts the CPU time of threads named `store-writer` that end inside the block."""

    seconds = 0.0

    def __enter__(self) -> writer_time:
        self._run = run = threading.Thread.run
        counter = self

        def timed(thread: threading.Thread) -> None:
            begun = time.thread_time()
            try:
                run(thread)
            finally:
                if thread.name == "store-writer":
                    counter.seconds += time.thread_time() - begun

        threading.Thread.run = timed  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        threading.Thread.run = self._run  # type: ignore[method-assign]


def floor(found: list[Source]) -> float:
    """Seconds to read, unpack and decode the files."""
    begun = time.perf_counter()
    for source in found:
        for _ in units(source, source.content()):
            pass
    return time.perf_counter() - begun


def tell_size(data: Path, resources: int) -> None:
    """Prints what a resource takes on disk, and the greatest tables and indexes."""
    size = sum(path.stat().st_size for path in data.glob("fhir.db*"))
    print(f"{size / resources:,.0f} bytes on disk a resource (limit {LIMIT:,})")
    connection = apsw.Connection(str(data / "fhir.db"))
    query = "SELECT name, sum(pgsize) AS size FROM dbstat GROUP BY name ORDER BY size DESC LIMIT 12"
    for name, bytes_ in connection.execute(query):
        print(f"  {name:<24}{bytes_ / resources:>8,.0f}")
    connection.close()


def over_http(found: list[Source], data: Path, in_flight: int) -> None:
    with fhirserver(data) as server:
        url = f"http://127.0.0.1:{server.port}/fhir"
        cpu, clock = server.cpu_seconds(), time.perf_counter()
        load = into_server(url, None, found, Journal(None), Quiet(), in_flight)
        tally = asyncio.run(load)
        took = time.perf_counter() - clock
        cpu = (server.cpu_seconds() - cpu) / tally.loaded * 1e6
        print(f"into a running server: {tally.loaded / took:,.0f}/s ({cpu:.0f} us of its CPU each)")


def profiled(found: list[Source], data: Path, options: argparse.Namespace) -> None:
    profile = cProfile.Profile()
    profile.enable()
    measured(found, data, options.in_flight)
    profile.disable()
    pstats.Stats(profile).strip_dirs().sort_stats("tottime").print_stats(options.profile)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=DEFAULT)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=8)
    parser.add_argument("--url", action="store_true")
    parser.add_argument("--profile", type=int, default=0, metavar="N")
    return parser.parse_args()


if __name__ == "__main__":
    main()
