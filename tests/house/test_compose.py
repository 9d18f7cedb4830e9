"""The compose files say what the server, its commands and its settings are today.

No docker engine is needed, so whether the containers start is not shown here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhirserver.cli.commands import COMMANDS, GROUPS
from fhirserver.settings import DESCRIPTIONS
from fhirserver.settings.reading import read

ROOT = Path(__file__).resolve().parents[2]
FILES = ("docker-compose.yml", "docker-compose.sharded.yml")
VALUES = {"MONGO_PASSWORD": "geheim", "S3_PASSWORD": "geheim"}
SECRETS = {"MONGO_INITDB_ROOT_PASSWORD", "MINIO_ROOT_PASSWORD"}


def composed(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return found


def services(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = composed(name)["services"]
    return found


def ours(name: str) -> dict[str, dict[str, Any]]:
    """The services that run this server."""
    return {key: service for key, service in services(name).items() if "build" in service}


@pytest.mark.parametrize("file", FILES)
def test_all_that_is_waited_for_is_there_and_tells_when_it_is_ready(file: str) -> None:
    found = services(file)
    for name, service in found.items():
        for other, condition in service.get("depends_on", {}).items():
            assert other in found, (name, other)
            ready = condition["condition"]
            is_checked = "healthcheck" in found[other] or other in ours(file)
            assert ready == "service_completed_successfully" or is_checked, (name, other)


@pytest.mark.parametrize("file", FILES)
def test_volumes_and_secrets_are_declared(file: str) -> None:
    whole = composed(file)
    for name, service in whole["services"].items():
        for volume in service.get("volumes", ()):
            assert volume.partition(":")[0] in whole["volumes"], (name, volume)
        for secret in service.get("secrets", ()):
            assert secret in whole["secrets"], (name, secret)


@pytest.mark.parametrize("file", FILES)
def test_ports_are_open_to_this_machine_only(file: str) -> None:
    for service in services(file).values():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("file", FILES)
def test_every_setting_and_command_exists(file: str) -> None:
    text = (ROOT / file).read_text() + (ROOT / "Dockerfile").read_text()
    known = {f"FHIRSERVER_{name.upper()}" for name in DESCRIPTIONS}
    known |= {"FHIRSERVER_TEST_MONGODB"}
    assert set(re.findall(r"FHIRSERVER_[A-Z_]+", text)) <= known
    for name, service in ours(file).items():
        command = service.get("command", ["serve"])
        assert command[0] in COMMANDS or command[1] in GROUPS[command[0]][1], (name, command)


def test_the_settings_are_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server in that environment runs two workers on the replica set, with its password."""
    monkeypatch.chdir(tmp_path)
    for service in ours("docker-compose.yml").values():
        for name, value in service["environment"].items():
            monkeypatch.setenv(name, re.sub(r"\$\{(\w+)[^}]*\}", lambda m: VALUES[m[1]], value))
        settings = read()
        assert settings.is_mongodb
        assert settings.store.startswith("mongodb://root:geheim@mongo1,mongo2,mongo3/fhir?")
        assert "replicaSet=rs0" in settings.store
        assert settings.workers == 2


def test_the_production_shape() -> None:
    found = services("docker-compose.yml")
    members = [service for name, service in found.items() if re.fullmatch(r"mongo\d", name)]
    assert len(members) == 3
    for service in members:
        assert service["image"] == "mongo:8"
        assert "--replSet rs0 --keyFile" in service["entrypoint"][-1]
        assert SECRETS & service["environment"].keys()
    assert {"redis", "s3", "fhirserver"} <= found.keys()
    assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()
    for service in found.values():
        for name, value in service.get("environment", {}).items():
            assert name not in SECRETS or value.startswith("${"), "a password in the file"


def test_the_test_cluster_is_sharded() -> None:
    commands = [service.get("command", [""]) for service in services(FILES[1]).values()]
    assert sum("--shardsvr" in command for command in commands) == 2
    assert sum("--configsvr" in command for command in commands) == 1
    assert sum(command[0] == "mongos" for command in commands) == 1
