"""Servers as processes of their own, for the benchmarks."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import RSAKey

SCOPE = "system/*.cruds"
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class ServerProcess:
    """A process that serves on a port of this machine."""

    pid: int
    port: int
    token: str = ""
    """An access token, which each request is sent with."""

    def beside(self) -> list[int]:
        """The processes that it started."""
        lists = Path(f"/proc/{self.pid}/task").glob("*/children")
        return [int(pid) for children in lists for pid in children.read_text().split()]

    def cpu_seconds(self) -> float:
        """Of the server and the processes that it started."""
        found = 0
        for pid in (self.pid, *self.beside()):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found += int(fields[11]) + int(fields[12])
        return found / _TICK

    def resident_megabytes(self, field: str = "VmRSS") -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"{field}:\s+(\d+) kB", status)
        assert found
        return int(found[1]) / 1024

    def headers(self, others: Mapping[str, str]) -> dict[str, str]:
        """Those of a request, with the token."""
        return {**others, **({"Authorization": f"Bearer {self.token}"} if self.token else {})}

    def request(
        self, method: str, path: str, body: bytes | None = None, content_type: str = ""
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Content-Type": content_type} if body is not None else {}
        connection.request(method, path, body, self.headers(headers))
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, content


@contextmanager
def process(
    command: list[str], port_pattern: str, environment: dict[str, str] | None = None
) -> Iterator[ServerProcess]:
    """A started server, whose port the pattern finds in what it prints; stopped at the end."""
    env = {**os.environ, **(environment or {})}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as started:
        assert started.stdout
        try:
            for line in started.stdout:
                found = re.search(port_pattern, line)
                if found:
                    yield ServerProcess(started.pid, int(found[1]))
                    return
            raise SystemExit(f"{command} ended without telling its port")
        finally:
            started.send_signal(signal.SIGTERM)
            started.wait(30)


@contextmanager
def fhirserver(data: Path, *options: str, **settings: str) -> Iterator[ServerProcess]:
    """`fhirserver serve` on a free port, answering; settings by their names."""
    serve = [sys.executable, "-m", "fhirserver", "serve", "--auth", "none", "--port", "0"]
    command = [*serve, "--data", str(data), *options]
    environment = {f"FHIRSERVER_{name.upper()}": value for name, value in settings.items()}
    with process(command, r"FHIR base +http://127\.0\.0\.1:(\d+)/fhir", environment) as server:
        wait_for(server, "/readyz")
        yield server


@contextmanager
def guarded_fhirserver(folder: Path, *options: str, **settings: str) -> Iterator[ServerProcess]:
    """`fhirserver serve` with accounts, audit trail and encryption, and a token of a system that
    may do everything."""
    key = folder / "master.key"
    settings = {"encryption": "on", "encryption_key": f"file:{key}", **settings}
    _run({}, "keys", "make", str(key))
    pair = RSAKey.generate_key(2048, parameters={"kid": "benchmark", "use": "sig"})
    (folder / "jwks.json").write_text(json.dumps({"keys": [pair.as_dict(private=False)]}))
    told = _run(
        settings,
        *("client", "add", "Benchmark", "--kind", "asymmetric", "--system", "--role", "admin"),
        *("--scope", SCOPE, "--jwks", str(folder / "jwks.json"), "--data", str(folder / "data")),
    )
    client = told.split()[1]
    with fhirserver(folder / "data", "--auth", "smart", *options, **settings) as server:
        yield replace(server, token=_token(server, client, pair))


def _run(settings: Mapping[str, str], *arguments: str) -> str:
    """What a command of `fhirserver` prints."""
    environment = {f"FHIRSERVER_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "fhirserver", *arguments]
    env = {**os.environ, **environment}
    return subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout


def _token(server: ServerProcess, client: str, pair: RSAKey) -> str:
    """An access token of a backend service (SMART App Launch, client_credentials)."""
    claims = {
        "iss": client,
        "sub": client,
        "aud": f"http://127.0.0.1:{server.port}/auth/token",
        "exp": int(time.time()) + 300,
        "jti": secrets.token_hex(8),
    }
    header = {"alg": "RS384", "kid": "benchmark", "typ": "JWT"}
    form = {
        "grant_type": "client_credentials",
        "scope": SCOPE,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode(header, claims, pair, algorithms=["RS384"]),
    }
    status, answer = server.request(
        "POST", "/auth/token", urlencode(form).encode(), "application/x-www-form-urlencoded"
    )
    assert status == 200, answer
    return str(json.loads(answer)["access_token"])


def wait_for(server: ServerProcess, path: str, seconds: float = 30) -> None:
    """Waits until the path answers 200."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if server.request("GET", path)[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.005)
    raise SystemExit(f"{path} did not answer in {seconds} seconds")
