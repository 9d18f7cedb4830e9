"""Servers of MongoDB's protocol for the tests, each a process on a free loopback port.

* `replica-set`: mongo-java-server in memory, made the primary of a replica set with sessions,
  transactions and faults to order by `java/`. Needs a Java development kit 17 and Maven.
* `ferretdb`: FerretDB 1.24 on SQLite files, which has no transactions. Needs Go.

`FHIRSERVER_TEST_MONGODB=mongodb://...` names a real server instead of the first (without a
database: each test makes its own). What is built is kept in a cache folder. What each of them
cannot show is written down in docs/stores.md.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

REAL = "FHIRSERVER_TEST_MONGODB"
REQUIRED = "FHIRSERVER_TEST_WIRE"

REPLICA_SET = "replica-set"
FERRETDB = "ferretdb"

_HERE = Path(__file__).parent
_JAVA = _HERE / "java"
_GO = _HERE / "ferretdb"
_CACHE = "FHIRSERVER_WIRE_CACHE"
_BUILD_SECONDS = 900


class Absent(Exception):
    """No server can be had here; the text says what is missing."""


@contextmanager
def server(kind: str = REPLICA_SET) -> Iterator[str]:
    """The address of a server (`mongodb://host:port`) while it lasts. Raises `Absent`."""
    if kind == REPLICA_SET and (real := os.environ.get(REAL)):
        yield real.rstrip("/")
        return
    with tempfile.TemporaryDirectory(prefix="wire-") as folder:
        command = _java_command() if kind == REPLICA_SET else _ferretdb_command(Path(folder))
        with told(command) as address:
            yield address.rstrip("/")


@contextmanager
def told(command: list[str]) -> Iterator[str]:
    """The first line that a program tells, which ends when its standard input does. Raises
    `Absent` where it tells nothing."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline().strip()
            if not line:
                raise Absent(f"{command[0]} did not start.")
            yield line
        finally:
            process.stdin.close()
            process.wait(20)


def _java_command() -> list[str]:
    jars = made("jars", [_HERE / "pom.xml"], _fetch_jars)
    sources = sorted(_JAVA.glob("*.java"))
    classes = made("classes", [_HERE / "pom.xml", *sources], lambda into: _compile(jars, into))
    return ["java", "-XX:+UseSerialGC", "-cp", f"{jars}/*{os.pathsep}{classes}", "Wire"]


def _ferretdb_command(data: Path) -> list[str]:
    built = made("ferretdb", sorted(_GO.iterdir()), _build_ferretdb)
    return [str(built / "ferretdb"), str(data)]


def _fetch_jars(into: Path) -> None:
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={into}"]
    ran("Maven cannot fetch mongo-java-server", ["mvn", "-q", "-B", "-f", "pom.xml", *goal], _HERE)


def _compile(jars: Path, into: Path) -> None:
    names = [source.name for source in sorted(_JAVA.glob("*.java"))]
    ran("The wire does not compile", ["javac", "-cp", f"{jars}/*", "-d", str(into), *names], _JAVA)


def _build_ferretdb(into: Path) -> None:
    ran("Go cannot build FerretDB", ["go", "build", "-o", str(into / "ferretdb"), "."], _GO)


def ran(failure: str, command: list[str], folder: Path) -> None:
    """Raises `Absent` with the failure when a command is not there or fails."""
    if shutil.which(command[0]) is None:
        raise Absent(f"{failure}: {command[0]} is not installed.")
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_BUILD_SECONDS
    )
    if done.returncode:
        raise Absent(f"{failure}: {(done.stdout + done.stderr)[-500:]}")


def made(name: str, sources: list[Path], make: Callable[[Path], None]) -> Path:
    """The folder with what `make` makes of the sources: made once for each state of them."""
    named = os.environ.get(_CACHE)
    cache = Path(named) if named else Path.home() / ".cache" / "fhirserver-wire"
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    folder = cache / f"{name}-{digest[:12]}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as making:
            made = Path(making) / name
            made.mkdir()
            make(made)
            try:
                made.rename(folder)
            except OSError:  # another run was first
                if not folder.exists():
                    raise
    return folder
