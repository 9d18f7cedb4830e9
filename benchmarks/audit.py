"""Reads and creates with the audit trail, with encryption and with both, against neither.

    python benchmarks/audit.py [--rounds 5] [--seconds 2] [--connections 32] [--only reads]
    python benchmarks/audit.py --lasting 16

One run, one server for each; each round measures them in turns and the plain one before and after
them, so that what else the machine does falls on all. The throughput is that of a burst; processor
time, of the process that files too, goes on until what was recorded is filed as well. On a busy
machine the processor time holds. With `--lasting`, reads go on for so many seconds, in which filing
falls as well; a quarter of the time goes to the plain server before and after.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from create import created, write_bodies
from load_generator import requests_per_second
from read import PATIENT
from server_process import ServerProcess, fhirserver

_PLAIN: Final = "neither"
_SEALED: Final = {"encryption": "on", "encryption_key": "env:BENCHMARK_KEY"}
_SERVERS: Final[dict[str, dict[str, str]]] = {
    _PLAIN: {},
    "audit": {"audit": "on"},
    "encryption": _SEALED,
    "both": {"audit": "on", **_SEALED},
}
_FLOORS: Final = {"audit": 0.6, "encryption": 0.8, "both": 0.5}
_QUIET: Final = 2.0  # seconds of no filing after which there is nothing to be filed
_IDLE: Final = 0.05  # of a processor: less is no filing


class Measured(NamedTuple):
    """Requests a second, and microseconds of processor time a request."""

    rate: float
    cost: float


def main() -> None:
    options = _options()
    os.environ["BENCHMARK_KEY"] = b64encode(bytes(range(32))).decode()
    path = f"/fhir/Patient/{PATIENT['id']}"
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        bodies = Path(folder) / "bodies.ndjson"
        write_bodies(bodies, options.type)
        servers = {}
        for name, settings in _SERVERS.items():
            server = stack.enter_context(fhirserver(Path(folder) / name, **settings))
            status, text = server.request(
                "PUT", path, json.dumps(PATIENT).encode(), "application/fhir+json"
            )
            assert status == 201, text
            servers[name] = server

        def reads(server: ServerProcess, seconds: float = options.seconds) -> float:
            return requests_per_second(server.port, path, options.connections, seconds)

        def creates(server: ServerProcess) -> float:
            return created(server, options, bodies, options.seconds).rate

        if options.lasting:
            _lasting(options, servers, reads)
            return
        measures = {"reads": reads, "creates": creates}
        for name in (options.only,) if options.only else measures:
            _rounds(name, options, servers, measures[name])


def _rounds(
    name: str,
    options: argparse.Namespace,
    servers: dict[str, ServerProcess],
    measure: Callable[[ServerProcess], float],
) -> None:
    def measured(server: ServerProcess) -> Measured:
        cpu = server.cpu_seconds()
        rate = measure(server)
        _until_idle(server)
        return Measured(rate, (server.cpu_seconds() - cpu) / (rate * options.seconds) * 1e6)

    for server in servers.values():  # warm
        measured(server)
    plain = servers[_PLAIN]
    others = [kind for kind in servers if kind != _PLAIN]
    ratios: dict[str, list[float]] = {kind: [] for kind in others}
    shares: dict[str, list[float]] = {kind: [] for kind in others}
    costs: dict[str, list[float]] = {kind: [] for kind in others}
    for _ in range(options.rounds):
        before = measured(plain)
        found = {kind: measured(servers[kind]) for kind in others}
        after = measured(plain)
        rate, cost = (before.rate + after.rate) / 2, (before.cost + after.cost) / 2
        line = [f"neither {rate:6.0f}/s {cost:5.1f} us"]
        for kind, (own_rate, own_cost) in found.items():
            ratios[kind].append(own_rate / rate)
            shares[kind].append(cost / own_cost)
            costs[kind].append(own_cost - cost)
            line.append(f"{kind} {own_rate:6.0f}/s {own_cost:5.1f} us")
        print(f"{name}: {'  '.join(line)}")
    for kind in others:
        floor = f" (floor {_FLOORS[kind]:.2f})" if name == "reads" else ""
        print(
            f"{name}, {kind}: throughput {statistics.median(ratios[kind]):.2f} of that without"
            f"{floor}, by processor time {statistics.median(shares[kind]):.2f} "
            f"({statistics.median(costs[kind]):.1f} us more a request)"
        )


def _lasting(
    options: argparse.Namespace,
    servers: dict[str, ServerProcess],
    reads: Callable[[ServerProcess, float], float],
) -> None:
    """Reads that go on, by quarters of the time; then how long filing takes for what is left."""
    quarter = max(options.lasting // 4, 1)
    kinds = [kind for kind in options.servers.split(",") if kind in servers and kind != _PLAIN]
    for kind in (_PLAIN, *kinds):
        reads(servers[kind], 1)  # warm
        _until_idle(servers[kind])
    before = reads(servers[_PLAIN], quarter)
    for kind in kinds:
        rates = [reads(servers[kind], quarter) for _ in range(4)]
        begun = time.monotonic()
        _until_idle(servers[kind])
        filed = time.monotonic() - begun
        after = reads(servers[_PLAIN], quarter)
        plain = (before + after) / 2
        told = " ".join(f"{rate:.0f}" for rate in rates)
        print(
            f"reads for {4 * quarter} s, {kind}: {told} /s, neither {before:.0f} {after:.0f}; "
            f"throughput {statistics.mean(rates) / plain:.2f} of that without (floor "
            f"{_FLOORS[kind]:.2f}), in the last quarter {rates[-1] / plain:.2f}; "
            f"filed {filed - _QUIET:.1f} s after the end"
        )
        before = after


def _until_idle(server: ServerProcess) -> None:
    """Waits until the server does nothing more: what was recorded is filed.

    Filing begins when nothing was recorded for a moment.
    """
    span, last = 0.2, time.monotonic()
    while time.monotonic() - last < _QUIET:
        before = server.cpu_seconds()
        time.sleep(span)
        if server.cpu_seconds() - before > _IDLE * span:
            last = time.monotonic()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--type", default="Observation")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--lasting", type=int, default=0, metavar="SECONDS")
    parser.add_argument("--servers", default="audit,both", help="those that last")
    parser.add_argument("--only", choices=("reads", "creates"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
