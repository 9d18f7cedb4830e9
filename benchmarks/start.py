"""From the command to the first answer, and the memory held then.

    python benchmarks/start.py [--times 5]

The floors: 2 seconds, 150 MB resident.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from server_process import ServerProcess, process, wait_for

PATIENT = {"resourceType": "Patient", "id": "first", "name": [{"family": "First"}]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    times = parser.parse_args().times
    seconds = []
    for number in range(times):
        with tempfile.TemporaryDirectory() as folder:
            seconds.append(_started(Path(folder) / "data", tell=number == times - 1))
    print(f"start to first answer: median {statistics.median(seconds):.2f} s (floor 2 s)")


def _started(data: Path, *, tell: bool) -> float:
    command = [sys.executable, "-m", "fhirserver", "serve", "--auth", "none", "--port", "0"]
    began = time.perf_counter()
    with process(
        [*command, "--data", str(data)], r"FHIR base +http://127\.0\.0\.1:(\d+)"
    ) as server:
        wait_for(server, "/fhir/Patient?_count=1")
        seconds = time.perf_counter() - began
        if tell:
            _tell_memory(server)
    return seconds


def _tell_memory(server: ServerProcess) -> None:
    body = json.dumps(PATIENT).encode()
    steps = (
        ("first search", "GET", "/fhir/Patient?name=x", None),
        ("first create", "PUT", "/fhir/Patient/first", body),
        ("first metadata", "GET", "/fhir/metadata", None),
        ("second metadata", "GET", "/fhir/metadata", None),
    )
    print(f"resident after the first answer: {server.resident_megabytes():.0f} MB (floor 150 MB)")
    for name, method, path, content in steps:
        began = time.perf_counter()
        status, _ = server.request(method, path, content, "application/fhir+json")
        milliseconds = (time.perf_counter() - began) * 1000
        print(
            f"{name}: {status} in {milliseconds:.0f} ms, "
            f"then {server.resident_megabytes():.0f} MB resident"
        )


if __name__ == "__main__":
    main()
