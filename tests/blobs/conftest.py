"""The kinds of storage that blobs are tested on: a folder, and the protocols of S3, Azure Blob
Storage and Google Cloud Storage over the wire; each plain and sealed."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from wire.object_storage import BUCKET, CLOUDS
from wire.server import Absent

from fhirserver.blobs.keys import ContentKeys
from fhirserver.blobs.store import ShelfBlobs, open_blobs

KEYS = ContentKeys("default", {1: bytes(range(32))})
REMOTE = (
    "s3",
    "s3-sealed",
    *(
        pytest.param(f"{cloud}{seal}", marks=pytest.mark.slow)
        for cloud in CLOUDS
        for seal in ("", "-sealed")
    ),
)
KINDS = ("folder", "sealed", *REMOTE)


class Clouds:
    """Servers of object storage, each started when a test first asks for it."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._variables: dict[str, dict[str, str]] = {}

    def variables(self, cloud: str) -> dict[str, str]:
        """How it is reached. Skips the test where there is none."""
        if cloud not in self._variables:
            start, _ = CLOUDS[cloud]
            try:
                self._variables[cloud] = self._stack.enter_context(start(self._folder))
            except Absent as absent:
                pytest.skip(str(absent))
        return self._variables[cloud]


@pytest.fixture(scope="session")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clouds]:
    with ExitStack() as stack:
        yield Clouds(stack, tmp_path_factory.mktemp("clouds"))


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, Any]]:
    """Options of a server that speaks the protocol of S3 (moto), with a bucket `images`."""
    if find_spec("moto") is None:
        pytest.skip("moto is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port, process)
            address = f"http://127.0.0.1:{port}"
            import urllib.request

            made = urllib.request.Request(f"{address}/images", method="PUT")
            made.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3")
            urllib.request.urlopen(made).close()
            yield {
                "aws_endpoint": address,
                "aws_access_key_id": "a",
                "aws_secret_access_key": "b",
                "aws_region": "us-east-1",
                "client_options": {"allow_http": True},
            }
        finally:
            process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None
        time.sleep(0.1)
    raise AssertionError("the server of S3 did not start")


def opened(
    kind: str, place: Path, request: pytest.FixtureRequest, bucket: str = BUCKET
) -> ShelfBlobs:
    """Blobs of a kind, empty."""
    storage, _, sealed = kind.partition("-")
    keys = KEYS if sealed or kind == "sealed" else None
    if storage in ("folder", "sealed"):
        return open_blobs(f"file://{place}/blobs", place / "blobs" / "spool", keys)
    if storage == "s3":
        scheme, options = "s3", request.getfixturevalue("s3")
    else:
        scheme, options = CLOUDS[storage][1], None
        patched: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
        for name, value in request.getfixturevalue("clouds").variables(storage).items():
            patched.setenv(name, value)
    return open_blobs(f"{scheme}://{bucket}/{place.name}", place / "spool", keys, options)


@pytest.fixture(params=KINDS)
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> ShelfBlobs:
    return opened(request.param, tmp_path, request)
