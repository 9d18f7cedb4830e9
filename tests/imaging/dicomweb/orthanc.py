"""Orthanc with its DICOMweb plug-in, as a peer."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ORTHANC = shutil.which("Orthanc") or "/usr/sbin/Orthanc"


class Orthanc:
    """Its own REST interface, at `base`."""

    def __init__(self, base: str) -> None:
        self.base = base

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What it answers, as JSON or bytes. Raises `HTTPError`."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.base}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            found = response.read()
            kind = response.headers.get("Content-Type", "")
        return json.loads(found) if "json" in kind else found


@contextmanager
def orthanc(folder: Path, **servers: str) -> Iterator[Orthanc]:
    """A running one; `servers` are DICOMweb servers that it knows, by name."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "StorageDirectory": str(folder / "orthanc"),
        "IndexDirectory": str(folder / "orthanc"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": port,
        "DicomServerEnabled": False,
        "AuthenticationEnabled": False,
        "DicomWeb": {"Enable": True, "Servers": {n: {"Url": u} for n, u in servers.items()}},
    }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([ORTHANC, "--verbose", str(file)], stdout=log, stderr=log)
    try:
        found = Orthanc(f"http://127.0.0.1:{port}")
        end = time.monotonic() + 30
        while True:
            try:
                found.ask("GET", "/system")
                break
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        yield found
    finally:
        process.terminate()
        process.wait(30)
