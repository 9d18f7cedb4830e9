"""How fast instances are stored: one sender against us, Orthanc and dcmtk's storescp in one run.

    python -m benchmarks.cstore [--instances N] [--associations 1 4 8] [--processes N] [--rounds N]

The sender is the same for all: one process of ours with every PDU prepared, as long as the
receiver announces it takes (up to 1 MiB), in a file in memory that the kernel sends from. It takes
0.5 ms of processor time for an instance. Receivers take turns; with several rounds, medians are
compared. We and Orthanc (as Debian ships it: SQLite, synced storage)
acknowledge what is on disk with its rows committed; storescp writes files and syncs nothing.
Prints instances per second, their ratio to Orthanc's, the median latency, processor time of
the receiver and its peak memory. The bar: at least 2 times Orthanc's rate.

On a virtual machine whose host takes back what is free, pages that are new cost several us each;
touching all of the memory before does not help, since what is freed is taken back at once.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dicom_sender import Run, copies, cpu_seconds, peak_megabytes, send

_DCMTK = "/usr/bin:/usr/local/bin"  # pynetdicom has a storescp, too, in the environment
_ENVIRONMENT = {"TCP_NODELAY": "1"}  # else dcmtk waits 40 ms for every acknowledgement


@dataclass
class Receiver:
    """Something that stores. `pids` are its processes."""

    name: str
    title: str
    port: int
    pids: list[int]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(f"{process.args} has ended")
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"{process.args} does not listen")


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


@contextmanager
def ours(folder: Path, processes: int) -> Iterator[Receiver]:
    port = _free_port()
    environment = os.environ | {
        "FHIRSERVER_DICOM_PORT": str(port),
        "FHIRSERVER_DICOM_PROCESSES": str(processes),
    }
    command = [sys.executable, "-m", "fhirserver", "serve", "--auth", "none", "--port", "0"]
    command += ["--data", str(folder)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            _wait(port, process)
            receiver = Receiver("ours", "FHIRSERVER", port, _children(process.pid))
            _associate_all(receiver)
            yield receiver
        finally:
            process.terminate()


def _associate_all(receiver: Receiver) -> None:
    """The port listens before its processes serve: waits until they all do, and are idle."""
    from benchmarks.dicom_sender import Association

    before = -1.0
    while (now := cpu_seconds(receiver.pids)) != before:
        before = now
        for one in [Association(receiver.port, "FHIRSERVER") for _ in range(8)]:
            one.release()
        time.sleep(0.5)
        before = cpu_seconds(receiver.pids)
        time.sleep(0.5)


@contextmanager
def orthanc(folder: Path, **more: object) -> Iterator[Receiver]:
    """`more` are further settings of it."""
    port = _free_port()
    configuration = {
        "Name": "bench",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomPort": port,
        "HttpPort": _free_port(),
        "DicomAet": "ORTHANC",
        "DicomAlwaysAllowStore": True,
        "RemoteAccessAllowed": False,
        "SyncStorageArea": True,
        "Plugins": [],
    } | more
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    command = ["Orthanc", str(folder / "orthanc.json")]
    with _started(Receiver("Orthanc", "ORTHANC", port, []), command) as receiver:
        yield receiver


@contextmanager
def storescp(folder: Path) -> Iterator[Receiver]:
    port = _free_port()
    program = shutil.which("storescp", path=_DCMTK) or "storescp"
    command = [program, "--fork", "--max-pdu", "131072", "-od", str(folder), str(port)]
    with _started(Receiver("storescp (no sync)", "STORESCP", port, []), command) as receiver:
        yield receiver


@contextmanager
def tuned_pynetdicom(folder: Path) -> Iterator[Receiver]:
    """pynetdicom as tuned as it can be; it writes and syncs files, and keeps no rows."""
    port = _free_port()
    command = [sys.executable, "-m", "benchmarks.cstore_pynetdicom", str(port), str(folder)]
    with _started(Receiver("pynetdicom, tuned", "PYNETDICOM", port, []), command) as receiver:
        yield receiver


@contextmanager
def _started(receiver: Receiver, command: list[str]) -> Iterator[Receiver]:
    """With its process, which has ended afterwards."""
    with subprocess.Popen(
        command,
        env=os.environ | _ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            _wait(receiver.port, process)
            receiver.pids.append(process.pid)
            yield receiver
        finally:
            process.terminate()


def _told(receiver: Receiver, associations: int, run: Run, cpu: float, peak: float) -> str:
    count = len(run.latencies)
    median = statistics.median(run.latencies) * 1000
    failed = "" if set(run.statuses) == {0} else f"  statuses {run.statuses}"
    return (
        f"{receiver.name:20} {associations} association(s) {run.rate:7.0f}/s  p50 {median:6.2f} ms"
        f"  {cpu / count * 1000:5.2f} ms CPU each  peak {peak:4.0f} MB{failed}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=500)
    parser.add_argument("--associations", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured")
    parser.add_argument("--only", nargs="*", default=["ours", "orthanc", "storescp", "pynetdicom"])
    asked = parser.parse_args()
    instances = copies(asked.instances)
    receivers = {
        "ours": lambda folder: ours(folder, asked.processes),
        "orthanc": orthanc,
        "storescp": storescp,
        "pynetdicom": tuned_pynetdicom,
    }
    for associations in asked.associations:
        rates: dict[str, list[float]] = {name: [] for name in asked.only}
        for _ in range(asked.rounds):
            for name in asked.only:
                folder = Path(tempfile.mkdtemp(dir=asked.folder))
                # Not yet: ext4 goes round inodes freed of late, which the next would pay for.
                atexit.register(shutil.rmtree, folder, ignore_errors=True)
                with receivers[name](folder) as receiver:
                    rates[name].append(_measured(receiver, associations, instances))
        if {"ours", "orthanc"} <= rates.keys():
            ratio = statistics.median(rates["ours"]) / statistics.median(rates["orthanc"])
            print(f"{'':20} ours / Orthanc: {ratio:.2f}", flush=True)


def _measured(receiver: Receiver, associations: int, instances: list[tuple[str, bytes]]) -> float:
    """Instances per second; prints all that is known of them."""
    before = cpu_seconds(receiver.pids)
    run = send(receiver.port, receiver.title, instances, associations)
    cpu = cpu_seconds(receiver.pids) - before
    peak = max(map(peak_megabytes, receiver.pids))
    print(_told(receiver, associations, run, cpu, peak), flush=True)
    return run.rate


if __name__ == "__main__":
    main()
