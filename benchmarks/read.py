"""Read of one Patient of 2 KB, one worker, against a bare ASGI application of the same bytes.

    python benchmarks/read.py [--rounds 5] [--seconds 2] [--connections 32]

Each round measures bare, server, bare, so that what else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from load_generator import requests_per_second
from server_process import ServerProcess, fhirserver, process, wait_for

PATIENT = {
    "resourceType": "Patient",
    "id": "read",
    "identifier": [
        {"system": f"http://hospital.example/ids/{i}", "value": f"{i:08d}"} for i in range(8)
    ],
    "active": True,
    "name": [{"family": "Benchmark", "given": ["Read", "Often"]}],
    "telecom": [{"system": "phone", "value": f"+1 555 010{i}", "use": "home"} for i in range(6)],
    "gender": "other",
    "birthDate": "1970-01-01",
    "address": [
        {"line": [f"{i} Long Street"], "city": "Springfield", "postalCode": f"{i:05d}"}
        for i in range(9)
    ],
}


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder, fhirserver(Path(folder) / "data") as server:
        body = json.dumps(PATIENT).encode()
        path = f"/fhir/Patient/{PATIENT['id']}"
        status, text = server.request("PUT", path, body, "application/fhir+json")
        assert status == 201, text
        _, served = server.request("GET", path)
        file = Path(folder) / "body.json"
        file.write_bytes(served)
        command = [sys.executable, str(Path(__file__).with_name("bare_server.py")), str(file)]
        with process(command, r"port (\d+)") as bare:
            wait_for(bare, "/")
            print(f"{len(served)} bytes, {options.connections} connections")
            _rounds(options, bare, server, path)


def _rounds(
    options: argparse.Namespace, bare: ServerProcess, server: ServerProcess, path: str
) -> None:
    def measured(process: ServerProcess) -> tuple[float, float]:
        cpu = process.cpu_seconds()
        rate = requests_per_second(process.port, path, options.connections, options.seconds)
        return rate, (process.cpu_seconds() - cpu) / (rate * options.seconds) * 1e6

    measured(bare), measured(server)  # warm
    ratios, extra = [], []
    for _ in range(options.rounds):
        (before, cpu_before), (ours, cpu_ours), (after, cpu_after) = (
            measured(bare),
            measured(server),
            measured(bare),
        )
        ratios.append(ours / ((before + after) / 2))
        extra.append(cpu_ours - (cpu_before + cpu_after) / 2)
        print(
            f"bare {before:8.0f}/s ({cpu_before:4.1f} us)  "
            f"server {ours:8.0f}/s ({cpu_ours:4.1f} us)  "
            f"bare {after:8.0f}/s ({cpu_after:4.1f} us)  ratio {ratios[-1]:.2f}"
        )
    print(
        f"median ratio {statistics.median(ratios):.2f} (floor 0.50), "
        f"CPU above bare {statistics.median(extra):.1f} us a request"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--connections", type=int, default=32)
    return parser.parse_args()


if __name__ == "__main__":
    main()
