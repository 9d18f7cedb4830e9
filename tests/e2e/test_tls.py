"""The server over TLS, with a real TLS client."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from certificate import make_certificate
from e2e.server import COMMAND, environment

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", params=["1", "2"], ids=["one worker", "two workers"])
def port(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, Path]]:
    """A server's port, and the certificate that it shows."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = make_certificate(folder)
    process = subprocess.Popen(
        [*COMMAND, "serve", "--auth", "none", "--port", "0", "--workers", request.param],
        cwd=folder,
        env=environment(FHIRSERVER_TLS_CERTIFICATE=str(certificate), FHIRSERVER_TLS_KEY=str(key)),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        found = re.search(r"https://127\.0\.0\.1:(\d+)/fhir", process.stdout.readline())
        assert found
        yield int(found[1]), certificate
    finally:
        process.terminate()
        process.wait(40)
        process.stdout.close()


def shaken(port: int, context: ssl.SSLContext) -> str | None:
    """The version that a handshake ends in; waits until the server listens."""
    deadline = time.monotonic() + 60
    while True:
        try:
            raw = socket.create_connection(("127.0.0.1", port), timeout=60)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with raw, context.wrap_socket(raw, server_hostname="localhost") as secure:
        return secure.version()


def lax(certificate: Path) -> ssl.SSLContext:
    """A server that takes whatever OpenSSL has."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    return context


def agreed(client: ssl.SSLContext, server: ssl.SSLContext) -> str | None:
    """The cipher that a client and a server agree on, without a network."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname="localhost"),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for side in sides:
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    found = sides[0].cipher()
    return found[0] if found else None


def client(version: ssl.TLSVersion, certificate: Path) -> ssl.SSLContext:
    """One that speaks that version only, and would take any cipher of it."""
    context = ssl.create_default_context(cafile=str(certificate))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = version
    if version is not ssl.TLSVersion.TLSv1:
        context.minimum_version = version
    return context


@pytest.mark.check("LAU-2")
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_versions(port: tuple[int, Path]) -> None:
    number, certificate = port
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        assert shaken(number, client(version, certificate)) == version.name.replace("_", ".")
    for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1):
        context = client(version, certificate)
        assert agreed(context, lax(certificate)) is not None  # it can speak it
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shaken(number, context)


@pytest.mark.check("LAU-2")
def test_ciphers_without_authenticated_encryption_are_refused(port: tuple[int, Path]) -> None:
    number, certificate = port
    for ciphers in ("ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-AES128-SHA"):
        context = client(ssl.TLSVersion.TLSv1_2, certificate)
        context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
        assert agreed(context, lax(certificate)) == ciphers
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shaken(number, context)


def test_it_serves(port: tuple[int, Path]) -> None:
    number, certificate = port
    shaken(number, client(ssl.TLSVersion.TLSv1_3, certificate))
    context = ssl.create_default_context(cafile=str(certificate))
    with httpx2.Client(verify=context, base_url=f"https://localhost:{number}") as http:
        deadline = time.monotonic() + 60
        while http.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline
        told = http.get("/fhir/metadata").json()
        assert told["implementation"]["url"] == f"https://localhost:{number}/fhir"
