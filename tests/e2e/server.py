"""The real server as a process of its own, and what tests do to it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import httpx2
from stores import url_of

COMMAND = [sys.executable, "-m", "fhirserver"]
FHIR_JSON = {"Content-Type": "application/fhir+json"}
START_SECONDS = 60


def environment(**more: str) -> dict[str, str]:
    """The environment without settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FHIRSERVER_")}
    return kept | more


@dataclass
class Server:
    """A running server. `base` is its FHIR base, `root` the address of its start page."""

    process: subprocess.Popen[str]
    root: str
    told: str = ""

    @property
    def base(self) -> str:
        return f"{self.root}/fhir"

    def kill(self) -> None:
        """SIGKILL to the server and its workers: nothing of them does anything more."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def count(self, query: str) -> int:
        """How many resources a search finds."""
        join = "&" if "?" in query else "?"
        answer = httpx2.get(f"{self.base}/{query}{join}_summary=count", timeout=60)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["total"])


@contextmanager
def serving(data: Path, *options: str, command: str = "serve", **env: str) -> Iterator[Server]:
    """An open server on a free port over a data folder, ready; it is stopped in the end."""
    if url := url_of(data):
        env.setdefault("FHIRSERVER_STORE", url)
    given = [*COMMAND, command, "--port", "0"]
    given += ["--data", str(data)] if command == "serve" else []
    given += ["--auth", "none"] if command == "serve" else []
    process = subprocess.Popen(
        [*given, *options],
        cwd=data.parent,
        env=environment(**env),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    server = Server(process, "")
    try:
        assert process.stdout
        for line in process.stdout:
            server.told += line
            if found := re.fullmatch(r"FHIR base +(http://\S+)/fhir\n", line):
                server.root = found[1]
                break
        wait_until_ready(server)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(40)
        server.kill()
        if process.stdout:
            process.stdout.close()


def wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        with suppress(httpx2.TransportError):
            if httpx2.get(f"{server.root}/readyz").status_code == 200:
                return
        time.sleep(0.02)
    raise AssertionError("the server did not become ready")


def ran(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A command that ran to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=280,
    )


def check_file(data: Path) -> None:
    """Asserts that the store's file is whole."""
    connection = apsw.Connection(str(data / "fhir.db"))
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    assert connection.execute("PRAGMA foreign_key_check").get is None
    connection.close()


def pages(client: httpx2.Client, url: str) -> Iterator[list[dict[str, Any]]]:
    """The resources of each page of a search, by its next links."""
    following: str | None = url
    while following:
        answer = client.get(following)
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        yield [entry["resource"] for entry in bundle.get("entry", [])]
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        following = links.get("next")
