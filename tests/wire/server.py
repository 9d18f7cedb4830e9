"""A server of MongoDB's protocol for the tests: a real one, or one that needs only Java.

`FHIRSERVER_TEST_MONGODB=mongodb://...` names a real one (without a database: each test makes its
own). Else mongo-java-server is started on a free port of the loopback interface: its jars come
from Maven, once, into a cache folder. It has no transactions and uses few indexes; what else
it lacks is written down in docs/stores.md.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REAL = "FHIRSERVER_TEST_MONGODB"
BACKENDS = ("memory", "h2")

_HERE = Path(__file__).parent
_CACHE = "FHIRSERVER_WIRE_CACHE"


class Absent(Exception):
    """No server can be had here; the text says what is missing."""


@contextmanager
def server(backend: str = "memory") -> Iterator[str]:
    """The address of a server (`mongodb://host:port`) while it lasts. Raises `Absent`."""
    if real := os.environ.get(REAL):
        yield real.rstrip("/")
        return
    folder = jars()
    with subprocess.Popen(
        ["java", "-cp", f"{folder}/*", str(_HERE / "Wire.java"), backend],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port:
            raise Absent("mongo-java-server did not start: it needs a Java development kit 17.")
        try:
            yield f"mongodb://127.0.0.1:{port}"
        finally:
            process.stdin.close()
            process.wait(20)


def jars() -> Path:
    """The folder with the jars of mongo-java-server, fetched when it is not there yet."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise Absent(f"{program} is not installed, so MongoDB's protocol cannot be tested.")
    named = os.environ.get(_CACHE)
    folder = Path(named) if named else Path.home() / ".cache" / "fhirserver-wire"
    done = folder / "complete"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
        pom = str(_HERE / "pom.xml")
        fetched = subprocess.run(["mvn", "-q", "-B", "-f", pom, *goal], capture_output=True)
        if fetched.returncode:
            raise Absent("Maven cannot fetch mongo-java-server here.")
        done.touch()
    return folder
