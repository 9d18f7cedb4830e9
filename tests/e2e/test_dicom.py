"""The DICOM port of the real server: its processes, `kill -9`, stopping, and Orthanc's push."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw
import httpx2
import pytest
from e2e.server import Server, check_file, environment, serving

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.dicom_sender import Association, copies

pytestmark = pytest.mark.skipif(not shutil.which("storescu"), reason="dcmtk is not installed")

TITLE = "FHIRSERVER"


@contextmanager
def listening(data: Path, **env: str) -> Iterator[tuple[Server, int]]:
    """A server with a DICOM port."""
    port = _free_port()
    with serving(data, FHIRSERVER_DICOM_PORT=str(port), **env) as server:
        yield server, port


def children(server: Server) -> list[int]:
    listed = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    found = []
    for child in listed.read_text().split():
        command = Path(f"/proc/{child}/cmdline").read_bytes()
        if b"fhirserver.app.dicom" in command:
            found.append(int(child))
    return found


def rows(data: Path) -> dict[str, str]:
    """Blob by SOP Instance UID, as the archive has them."""
    connection = apsw.Connection(str(data / "imaging.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return dict(connection.execute("SELECT uid, blob FROM instance"))
    finally:
        connection.close()


def blobs(data: Path) -> dict[str, Path]:
    return {path.name: path for path in (data / "blobs").glob("??/*")}


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def associated(port: int) -> Association:
    """An association, as soon as a process serves."""
    for _ in range(600):
        with suppress(OSError):
            return Association(port, TITLE)
        time.sleep(0.1)
    raise AssertionError("no association is taken")


class Senders:
    """Threads that store until they cannot; `acknowledged` are the UIDs that were."""

    def __init__(self, port: int, count: int) -> None:
        self.acknowledged: list[str] = []
        self.sent = 0
        self._instances = iter(copies(300))
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(port,)) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, port: int) -> None:
        with suppress(OSError):
            association = associated(port)
            for message in range(1, 60_000):
                with self._lock:
                    uid, data = next(self._instances)
                self.sent += 1
                if association.store(message, uid, data) == 0:
                    self.acknowledged.append(uid)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


@pytest.mark.slow
@pytest.mark.parametrize(("whom", "processes"), [("receiver", 1), ("all", 1), ("all", 2)])
def test_a_kill_loses_nothing_that_was_acknowledged(
    tmp_path: Path, whom: str, processes: int
) -> None:
    data = tmp_path / "data"
    with listening(data, FHIRSERVER_DICOM_PROCESSES=str(processes)) as (server, port):
        associated(port).release()
        first, *others = children(server)
        assert len(others) == processes - 1
        senders = Senders(port, 4)
        until(lambda: len(senders.acknowledged) > 15)
        if whom == "receiver":
            os.kill(first, signal.SIGKILL)
            senders.join()
            associated(port).release()  # it was started again, on the same port
            assert children(server) != [first]
        else:
            server.kill()
            senders.join()
            # What it left to its children ends with it.
            until(lambda: not Path(f"/proc/{first}").exists() or _is_zombie(first))
    assert senders.sent > len(senders.acknowledged), "nothing was under way"
    held, there = rows(data), blobs(data)
    assert set(senders.acknowledged) <= held.keys()
    check_file(data)
    _mend(data)
    assert {_hex(blob) for blob in held.values()} == blobs(data).keys() <= there.keys()
    assert not list((data / "blobs" / "spool").glob("*"))


def _mend(data: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fhirserver", "check", "--mend", "--data", str(data)],
        env=environment(FHIRSERVER_AUTH="none"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _hex(blob: object) -> str:
    return blob.hex() if isinstance(blob, bytes) else str(blob)


def _is_zombie(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True


@pytest.mark.slow
def test_a_stop_answers_what_is_under_way(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with listening(data, FHIRSERVER_DICOM_PROCESSES="2") as (server, port):
        associated(port).release()
        started = children(server)
        assert len(started) == 2
        senders = Senders(port, 4)
        until(lambda: len(senders.acknowledged) > 10)
        server.process.terminate()
        server.process.wait(40)
        senders.join()
        assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    assert set(senders.acknowledged) == set(rows(data)), "something was stored and not answered"
    assert not list((data / "blobs" / "spool").glob("*"))


def test_an_imaging_study_follows_in_one_version(tmp_path: Path) -> None:
    with listening(tmp_path / "data") as (server, port):
        association = associated(port)
        for number, (uid, data) in enumerate(copies(20, studies=1), 1):
            assert association.store(number, uid, data) == 0
        association.release()
        until(lambda: server.count("ImagingStudy") == 1)

        def study() -> dict:
            return httpx2.get(f"{server.base}/ImagingStudy").json()["entry"][0]["resource"]

        until(lambda: study()["numberOfInstances"] == 20)
        assert int(study()["meta"]["versionId"]) <= 6


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("Orthanc"), reason="Orthanc is not installed")
def test_orthanc_pushes_to_us(tmp_path: Path) -> None:
    with listening(tmp_path / "data") as (_, port):
        associated(port).release()
        http = _free_port()
        configuration = {
            "StorageDirectory": str(tmp_path / "orthanc"),
            "IndexDirectory": str(tmp_path / "orthanc"),
            "DicomPort": _free_port(),
            "HttpPort": http,
            "AuthenticationEnabled": False,
            "RemoteAccessAllowed": False,
            "Plugins": [],
            "DicomModalities": {"us": [TITLE, "127.0.0.1", port]},
        }
        (tmp_path / "orthanc.json").write_text(json.dumps(configuration))
        with subprocess.Popen(
            ["Orthanc", str(tmp_path / "orthanc.json")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as orthanc:
            try:
                with httpx2.Client(base_url=f"http://127.0.0.1:{http}", timeout=60) as client:
                    until(lambda: _answers(client))
                    pushed = _push(client)
            finally:
                orthanc.terminate()
        assert set(rows(tmp_path / "data")) == pushed


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _answers(client: httpx2.Client) -> bool:
    with suppress(httpx2.TransportError):
        return client.get("/system").status_code == 200
    return False


def _push(client: httpx2.Client) -> set[str]:
    """Gives Orthanc files, has it send them, and tells their SOP Instance UIDs."""
    import pydicom

    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    names = ("CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "rtplan.dcm", "test-SR.dcm")
    identities, uids = [], set()
    for name in names:
        told = client.post("/instances", content=(folder / name).read_bytes())
        assert told.status_code == 200, told.text
        identities.append(told.json()["ID"])
        uids.add(str(pydicom.dcmread(folder / name, stop_before_pixels=True).SOPInstanceUID))
    echoed = client.post("/modalities/us/echo", content=b"{}")
    assert echoed.status_code == 200, echoed.text
    sent = client.post("/modalities/us/store", json=identities)
    assert sent.status_code == 200, sent.text
    return uids
