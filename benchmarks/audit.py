"""Reads and creates with the audit trail, against the same server without, in the same run.

    python benchmarks/audit.py [--rounds 5] [--seconds 2] [--connections 32]

Each round measures off, on, off, so that what else the machine does falls on both. The figure
that holds on a busy machine is the ratio, and the processor time a request.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from create import created, write_bodies
from load_generator import requests_per_second
from read import PATIENT
from server_process import ServerProcess, fhirserver

_FLOOR = 0.6


def main() -> None:
    options = _options()
    with (
        tempfile.TemporaryDirectory() as folder,
        fhirserver(Path(folder) / "off") as off,
        fhirserver(Path(folder) / "on", audit="on") as on,
    ):
        path = f"/fhir/Patient/{PATIENT['id']}"
        bodies = Path(folder) / "bodies.ndjson"
        write_bodies(bodies, options.type)
        for server in (off, on):
            status, text = server.request(
                "PUT", path, json.dumps(PATIENT).encode(), "application/fhir+json"
            )
            assert status == 201, text

        def reads(server: ServerProcess) -> float:
            return requests_per_second(server.port, path, options.connections, options.seconds)

        def creates(server: ServerProcess) -> float:
            return created(server, options, bodies, options.seconds).rate

        for name, measure in (("reads", reads), ("creates", creates)):
            _rounds(name, options, off, on, measure)


def _rounds(
    name: str,
    options: argparse.Namespace,
    off: ServerProcess,
    on: ServerProcess,
    measure: Callable[[ServerProcess], float],
) -> None:
    def measured(server: ServerProcess) -> tuple[float, float]:
        cpu = server.cpu_seconds()
        rate = measure(server)
        return rate, (server.cpu_seconds() - cpu) / (rate * options.seconds) * 1e6

    measured(off), measured(on)  # warm
    ratios, costs, by_processor = [], [], []
    for _ in range(options.rounds):
        before, ours, after = measured(off), measured(on), measured(off)
        ratios.append(ours[0] / ((before[0] + after[0]) / 2))
        costs.append(ours[1] - (before[1] + after[1]) / 2)
        by_processor.append((before[1] + after[1]) / 2 / ours[1])
        print(
            f"{name}: off {before[0]:7.0f}/s ({before[1]:5.1f} us)  "
            f"on {ours[0]:7.0f}/s ({ours[1]:5.1f} us)  "
            f"off {after[0]:7.0f}/s ({after[1]:5.1f} us)  ratio {ratios[-1]:.2f}"
        )
    floor = f" (floor {_FLOOR:.2f})" if name == "reads" else ""
    print(
        f"{name}: median ratio {statistics.median(ratios):.2f}{floor}, "
        f"by processor time {statistics.median(by_processor):.2f} "
        f"(the trail takes {statistics.median(costs):.1f} us a request)"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--type", default="Observation")
    parser.add_argument("--clients", type=int, default=16)
    return parser.parse_args()


if __name__ == "__main__":
    main()
