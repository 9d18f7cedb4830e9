"""The kinds of storage that blobs are tested on: a folder, a sealed one, and S3 over the wire."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from fhirserver.blobs.keys import ContentKeys
from fhirserver.blobs.store import ShelfBlobs, open_blobs

KEYS = ContentKeys("default", {1: bytes(range(32))})
KINDS = ("folder", "sealed", "s3", "s3-sealed")


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


def opened(kind: str, place: Path, request: pytest.FixtureRequest) -> ShelfBlobs:
    """Blobs of a kind, empty."""
    keys = KEYS if "sealed" in kind else None
    if kind.startswith("s3"):
        options = request.getfixturevalue("s3")
        return open_blobs(f"s3://images/{place.name}", place / "spool", keys, options)
    return open_blobs(f"file://{place}/blobs", place / "blobs" / "spool", keys)


@pytest.fixture(params=KINDS)
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> ShelfBlobs:
    return opened(request.param, tmp_path, request)
