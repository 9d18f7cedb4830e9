"""DICOMweb against Orthanc's with the same 500 instances of 512 x 512, in the same run.

    python benchmarks/dicomweb.py [--seconds 3] [--rounds 3] [--connections 1,4]

Each round measures ours, Orthanc, ours. Needs Debian's `orthanc` and `orthanc-dicomweb`. What an
object of hundreds of megabytes costs in memory, `dicomweb_memory.py` measures.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pydicom
import pydicom.data
from pydicom.uid import generate_uid
from server_process import ServerProcess, fhirserver, wait_for

PLUGINS = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ORTHANC = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
AS_STORED = "multipart/related; type=application/dicom; transfer-syntax=*"
FRAMES = "multipart/related; type=application/octet-stream; transfer-syntax=*"
JSON = "application/dicom+json"


class Instance(NamedTuple):
    """A file, and its address below the base of DICOMweb."""

    data: bytes
    path: str


class Question(NamedTuple):
    """What is asked for, in turn, and how; the rate that ours is to have of Orthanc's."""

    name: str
    paths: Sequence[str]
    accept: str
    bar: float


def main() -> None:
    options = _options()
    if not PLUGINS.exists():
        raise SystemExit("Orthanc's DICOMweb is not installed: apt-get install orthanc-dicomweb")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        instances = made(options.studies, options.instances)
        with orthanc(Path(folder)) as theirs, fhirserver(data) as ours:
            for server in (ours, theirs):
                started = time.perf_counter()
                for instance in instances:
                    store(server, instance.data)
                rate = len(instances) / (time.perf_counter() - started)
                print(
                    f"STOW-RS, one by one: {'ours' if server is ours else 'Orthanc'} {rate:.0f}/s"
                )
            print(f"memory when filled {ours.resident_megabytes('VmHWM'):.0f} MB")
            for connections in map(int, options.connections.split(",")):
                compare(ours, theirs, questions(instances), connections, options)


def made(studies: int, instances: int) -> list[Instance]:
    """CTs of 512 x 512 with distinct UIDs, in two series for each study."""
    dataset = pydicom.dcmread(pydicom.data.get_testdata_file("CT_small.dcm"))
    pixels = np.tile(dataset.pixel_array, (4, 4)).astype("<i2").tobytes()
    dataset.Rows = dataset.Columns = 512
    dataset.PixelData = pixels
    found = []
    per_series = instances // (studies * 2)
    for _ in range(studies):
        dataset.StudyInstanceUID = generate_uid()
        dataset.PatientID = dataset.StudyInstanceUID[-12:]
        for _ in range(2):
            dataset.SeriesInstanceUID = generate_uid()
            for number in range(per_series):
                dataset.SOPInstanceUID = generate_uid()
                dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
                dataset.InstanceNumber = number + 1
                out = io.BytesIO()
                dataset.save_as(out, enforce_file_format=True)
                path = f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
                found.append(Instance(out.getvalue(), f"{path}/instances/{dataset.SOPInstanceUID}"))
    return found


def questions(instances: Sequence[Instance]) -> list[Question]:
    """Those of the reference measurements."""
    paths = [instance.path for instance in instances]
    series = sorted({path.partition("/instances")[0] for path in paths})
    count = len(instances)
    return [
        Question("QIDO studies", ["/studies"], JSON, 5),
        Question("QIDO instances of a series", [f"{one}/instances" for one in series], JSON, 5),
        Question(f"QIDO {count} instances", [f"/instances?limit={count}"], JSON, 5),
        Question("metadata of a series", [f"{one}/metadata" for one in series], JSON, 1),
        Question("instance", paths, AS_STORED, 1),
        Question("frame", [f"{path}/frames/1" for path in paths], FRAMES, 1),
        Question("rendered", [f"{path}/rendered" for path in paths], "image/jpeg", 0),
        Question("series", series, AS_STORED, 1),
    ]


def compare(
    ours: ServerProcess,
    theirs: ServerProcess,
    asked: Sequence[Question],
    connections: int,
    options: argparse.Namespace,
) -> None:
    """Rates, and processor time of the server for each request."""
    for question in asked:
        ratios, cpu = [], []
        for server in (ours, theirs):
            measured(server, question, connections, min(1.0, options.seconds))
        for _ in range(options.rounds):
            before, other, after = (
                measured(server, question, connections, options.seconds)
                for server in (ours, theirs, ours)
            )
            mine = ((before[0] + after[0]) / 2, (before[1] + after[1]) / 2)
            ratios.append((mine[0] / other[0], mine[0], other[0]))
            cpu.append((mine[1], other[1]))
        ratio, rate, other_rate = sorted(ratios)[len(ratios) // 2]
        ms, other_ms = (statistics.median(column) * 1000 for column in zip(*cpu, strict=True))
        bar = f"(bar {question.bar:g})" if question.bar else ""
        print(
            f"{question.name:28} c={connections} ours {rate:8.1f}/s {ms:7.2f} ms  "
            f"Orthanc {other_rate:8.1f}/s {other_ms:7.2f} ms  ratio {ratio:6.2f} {bar}",
            flush=True,
        )


def measured(
    server: ServerProcess, question: Question, connections: int, seconds: float
) -> tuple[float, float]:
    """Requests per second, and processor seconds of the server for each."""
    cpu = server.cpu_seconds()
    command = [sys.executable, str(Path(__file__)), "--client", str(server.port), str(connections)]
    given = json.dumps([question.accept, question.paths, seconds])
    told = subprocess.run(command, input=given, capture_output=True, text=True, check=True).stdout
    done, lasted = json.loads(told)
    return done / lasted, (server.cpu_seconds() - cpu) / max(done, 1)


def client(port: int, connections: int) -> None:
    """Asks in turn over so many connections, and prints how many answers came in what time."""
    accept, paths, seconds = json.loads(sys.stdin.read())
    counts = [0] * connections
    started = time.perf_counter()

    def work(index: int) -> None:
        turn = cycle(paths[index * len(paths) // connections :] + paths)
        buffer = memoryview(bytearray(1 << 20))
        connection = None
        while time.perf_counter() - started < seconds:
            if connection is None:
                connection = socket.create_connection(("127.0.0.1", port))
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            head = f"GET /dicom-web{next(turn)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            connection.sendall(f"{head}Accept: {accept}\r\n\r\n".encode())
            if not _receive(connection, buffer):
                connection.close()
                connection = None
            counts[index] += 1

    threads = [threading.Thread(target=work, args=(index,)) for index in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps([sum(counts), time.perf_counter() - started]))


def _receive(connection: socket.socket, buffer: memoryview) -> bool:
    """Reads one answer; whether the connection stays open."""
    count = connection.recv_into(buffer)
    while b"\r\n\r\n" not in bytes(buffer[: min(count, 4096)]):
        count += connection.recv_into(buffer[count:])
    head, _, _ = bytes(buffer[: min(count, 4096)]).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(head)
    tail = bytes(buffer[len(head) + 4 : count][-5:])
    count -= len(head) + 4
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    if b"content-length" in lines:
        length = int(lines[b"content-length"])
        while count < length:
            count += connection.recv_into(buffer)
        return True
    if lines.get(b"transfer-encoding") == b"chunked":
        while not tail.endswith(b"0\r\n\r\n"):
            got = connection.recv_into(buffer)
            tail = (tail + bytes(buffer[max(0, got - 5) : got]))[-5:]
        return True
    while connection.recv_into(buffer):
        pass
    return False


def fetched(server: ServerProcess, path: str, accept: str) -> int:
    """How long an answer is, which is not held."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    connection.request("GET", path, headers=server.headers({"Accept": accept}))
    response = connection.getresponse()
    assert response.status == 200, response.read()
    length = 0
    while piece := response.read(1 << 20):
        length += len(piece)
    connection.close()
    return length


def store(server: ServerProcess, data: bytes) -> None:
    """STOW-RS with one part, as Orthanc takes it."""
    head = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    connection.request(
        "POST",
        "/dicom-web/studies",
        b"".join((head, data, b"\r\n--b--")),
        server.headers(
            {
                "Content-Type": 'multipart/related; type="application/dicom"; boundary=b',
                "Accept": JSON,
            }
        ),
    )
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200, body
    connection.close()


@contextmanager
def orthanc(folder: Path) -> Iterator[ServerProcess]:
    """Orthanc with its DICOMweb plug-in on a free port of this machine, in a folder of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "Name": "benchmark",
        "StorageDirectory": str(folder / "orthanc"),
        "IndexDirectory": str(folder / "orthanc"),
        "Plugins": [str(PLUGINS)],
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "KeepAlive": True,
        "TcpNoDelay": True,
        "HttpThreadsCount": 16,
        "HttpCompressionEnabled": False,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": True},
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(settings))
    environment = {**os.environ, "TCP_NODELAY": "1"}
    with subprocess.Popen(
        [ORTHANC, str(file)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as started:
        try:
            server = ServerProcess(started.pid, port)
            wait_for(server, "/system")
            yield server
        finally:
            started.terminate()
            started.wait(30)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", default="1,4")
    parser.add_argument("--studies", type=int, default=5)
    parser.add_argument("--instances", type=int, default=500)
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        client(int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
