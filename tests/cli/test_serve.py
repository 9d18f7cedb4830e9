"""The server as a process."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx2
import pytest

from fhirserver.cli.commands import COMMANDS

FHIR = {"Content-Type": "application/fhir+json"}
COMMAND = [sys.executable, "-m", "fhirserver"]
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith("FHIRSERVER_")
}


def ran(tmp_path, *arguments, **environment):
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=tmp_path,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@contextmanager
def serving(tmp_path, *options):
    """A server process and a client of it."""
    serve = [*COMMAND, "serve", "--auth", "none", "--port", "0", "--data", str(tmp_path / "data")]
    with subprocess.Popen(
        [*serve, *options], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            base = re.fullmatch(r"FHIR base +(http://\S+)/fhir\n", process.stdout.readline())[1]
            with httpx2.Client(base_url=base, timeout=30) as client:
                wait_until_ready(client)
                yield process, client
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(30)


def wait_until_ready(client):
    for _ in range(600):
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("the server did not start")


@pytest.mark.e2e
def test_it_serves_and_keeps_what_it_was_given(tmp_path):
    body = b'{"resourceType":"Patient","id":"a"}'
    with serving(tmp_path) as (process, client):
        assert client.put("/fhir/Patient/a", content=body, headers=FHIR).status_code == 201
        read = client.get("/fhir/Patient/a")
        assert read.json()["id"] == "a"
        assert "server" not in read.headers
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, -signal.SIGTERM)
    with serving(tmp_path) as (_, client):
        assert client.get("/fhir/Patient/a").status_code == 200


@pytest.mark.e2e
def test_a_request_under_way_is_answered_before_it_stops(tmp_path):
    with serving(tmp_path) as (process, client):
        address = (client.base_url.host, client.base_url.port)
        with socket.create_connection(address) as connection:
            body = b'{"resourceType":"Patient","id":"late"}'
            head = (
                b"PUT /fhir/Patient/late HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/fhir+json\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            connection.sendall(head + body[:10])
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            connection.sendall(body[10:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 201 ")
        process.wait(30)
    with serving(tmp_path) as (_, client):
        assert client.get("/fhir/Patient/late").status_code == 200


@pytest.mark.e2e
def test_workers_share_one_store(tmp_path):
    with serving(tmp_path, "--workers", "2") as (_, client):
        base = str(client.base_url)
        made = []

        def write(number: int) -> None:
            with httpx2.Client(base_url=base, timeout=60) as own:
                for index in range(20):
                    body = json.dumps({"resourceType": "Patient", "id": f"p{number}-{index}"})
                    response = own.put(
                        f"/fhir/Patient/p{number}-{index}", content=body, headers=FHIR
                    )
                    made.append(response.status_code)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert made == [201] * 120
        for _ in range(8):  # new connections, so that either worker answers
            with httpx2.Client(base_url=base, timeout=30) as own:
                page = own.get("/fhir/Patient?_summary=count").json()
                assert page["total"] == 120
                first = own.get("/fhir/Patient?_count=100").json()
            (following,) = [link["url"] for link in first["link"] if link["relation"] == "next"]
            with httpx2.Client(timeout=30) as other:
                assert len(other.get(following).json()["entry"]) == 20


@pytest.mark.e2e
@pytest.mark.check("OPS-6")
@pytest.mark.skipif(not os.path.exists("/proc/self/limits"), reason="Linux tells limits there")
def test_what_is_in_memory_is_not_dumped(tmp_path):
    with serving(tmp_path, "--workers", "2") as (process, _):
        found = [process.pid]
        for task in os.listdir(f"/proc/{process.pid}/task"):
            with open(f"/proc/{process.pid}/task/{task}/children") as children:
                found += map(int, children.read().split())
        assert len(found) >= 3
        for pid in found:
            with open(f"/proc/{pid}/limits") as limits:
                (line,) = [line for line in limits if line.startswith("Max core file size")]
            assert line.split()[4:6] == ["0", "0"], pid


def test_what_is_no_http_is_told_so(tmp_path):
    with serving(tmp_path) as (_, client):
        address = (client.base_url.host, client.base_url.port)
        with socket.create_connection(address, timeout=10) as connection:
            connection.sendall(b"nonsense\r\n\r\n")
            assert b"OperationOutcome" in connection.recv(65536)


@pytest.mark.e2e
def test_a_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = ran(tmp_path, "serve", "--auth", "none", "--port", port)
        assert result.returncode != 0
        assert "address already in use" in result.stderr.lower()


@pytest.mark.e2e
def test_the_first_start_makes_an_administrator(tmp_path):
    serve = [*COMMAND, "serve", "--port", "0", "--data", str(tmp_path / "data")]
    told = []
    for _ in range(2):
        with subprocess.Popen(
            serve, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                lines = []
                while not (lines and lines[-1].startswith("Start page")):
                    lines.append(process.stdout.readline())
                told.append("".join(lines))
                base = re.search(r"FHIR base +(http://\S+)/fhir\n", told[-1])[1]
                with httpx2.Client(base_url=base, timeout=30) as client:
                    wait_until_ready(client)
                    nobody = client.get("/fhir/Patient")
                    assert nobody.status_code == 401
                    assert nobody.headers["www-authenticate"].startswith("Bearer")
                    assert nobody.json()["resourceType"] == "OperationOutcome"
                    assert client.get("/fhir/metadata").status_code == 200
                    found = client.get("/fhir/.well-known/smart-configuration").json()
                    assert found["token_endpoint"] == f"{base}/auth/token"
                    assert "Open server" not in client.get("/").text
            finally:
                process.terminate()
                process.wait(30)
    assert "admin" in told[0]
    assert "password" in told[0].lower()
    assert "password" not in told[1].lower()


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        (["--auth", "none", "--host", "0.0.0.0"], {}, "loopback"),
        (["--auth", "none", "--host", "fhir.example.org"], {}, "loopback"),
        (["--auth", "none"], {"FHIRSERVER_HOST": "::"}, "loopback"),
        (["--auth", "none"], {"FHIRSERVER_STORE": "mongodb://x"}, "mongodb"),
        (["--auth", "none", "--port", "99999"], {}, "port"),
        (["--auth", "none"], {"FHIRSERVER_CONFIG": "absent.toml"}, "absent.toml"),
    ],
)
def test_what_it_refuses_to_run_with(tmp_path, arguments, environment, told):
    result = ran(tmp_path, "serve", *arguments, **environment)
    assert result.returncode == 2
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_help_is_quick_and_names_every_command(tmp_path):
    result = ran(tmp_path, "--help", COLUMNS="200")
    assert result.returncode == 0
    for name in COMMANDS:
        assert name in result.stdout
    code = "import sys, fhirserver.cli.commands; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    for heavy in ("pydantic", "uvicorn", "apsw", "fhirserver.app", "fhirserver.interactions"):
        assert f"'{heavy}'" not in loaded


def test_an_open_server_has_in_memory_what_it_serves_by():
    code = """
import sys, uvicorn, fhirserver.app.application, fhirserver.cli.serve, fhirserver.cli.dicom
print([name for name in ("fhirserver.auth.server", "starlette", "jinja2", "argon2", "joserfc",
                         "typer", "pydantic", "pydicom", "numpy", "PIL", "graphql", "rich")
       if name in sys.modules])
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
