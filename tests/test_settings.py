import re
import subprocess
import sys
from pathlib import Path

import pytest

from fhirserver.app import policy_of
from fhirserver.interactions.context import Policy
from fhirserver.settings import (
    DESCRIPTIONS,
    Settings,
    SettingsError,
    config_file,
    is_loopback,
)
from fhirserver.settings.reading import read

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("FHIRSERVER_CONFIG", "FHIRSERVER_AUTH", "FHIRSERVER_PORT", "FHIRSERVER_DATA"):
        monkeypatch.delenv(name, raising=False)


def row(name: str) -> str:
    default = getattr(Settings(), name)
    if isinstance(default, bool):
        default = str(default).lower()
    shown = f"`{default}`" if default not in (None, "", ()) else "unset"
    return f"| `FHIRSERVER_{name.upper()}` | {shown} | {DESCRIPTIONS[name]} |"


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_every_setting_is_documented_as_it_is(name):
    assert row(name) in DOCUMENT.read_text().splitlines()


def test_nothing_else_is_documented():
    documented = re.findall(r"^\| `FHIRSERVER_(\w+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(name.upper() for name in DESCRIPTIONS)


def test_every_house_rule_can_be_set():
    assert policy_of(Settings(auth="none")) == Policy()


def test_code_goes_before_environment_and_that_before_the_file(monkeypatch, tmp_path):
    (tmp_path / "fhirserver.toml").write_text('port = 1\nhost = "localhost"\nworkers = 2\n')
    monkeypatch.setenv("FHIRSERVER_PORT", "2")
    monkeypatch.setenv("FHIRSERVER_HOST", "::1")
    settings = read(port=3)
    assert (settings.port, settings.host, settings.workers) == (3, "::1", 2)


def test_the_file_can_be_named(monkeypatch, tmp_path):
    (tmp_path / "other.toml").write_text('cors_origins = ["https://a.example"]\n')
    monkeypatch.setenv("FHIRSERVER_CONFIG", str(tmp_path / "other.toml"))
    assert read().cors_origins == ("https://a.example",)
    monkeypatch.setenv("FHIRSERVER_CONFIG", str(tmp_path / "absent.toml"))
    with pytest.raises(FileNotFoundError):
        config_file()


def test_several_values_in_one_variable(monkeypatch):
    monkeypatch.setenv("FHIRSERVER_CORS_ORIGINS", "https://a.example, https://b.example")
    assert read().cors_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    "wrong",
    [
        {"auth": "none", "host": "0.0.0.0"},
        {"auth": "none", "host": "fhir.example.org"},
        {"auth": "some"},
        {"store": "mongodb://localhost"},
        {"store": "sqlite:///"},
        {"base_url": "example.org/fhir"},
        {"base_url": "https://example.org/fhir?x=1"},
        {"trusted_proxies": "somewhere"},
        {"port": 70_000},
        {"page_size": 20, "max_page_size": 10},
        {"spelt_wrong": 1},
    ],
)
def test_what_cannot_be_set(wrong):
    with pytest.raises(SettingsError):
        read(**wrong)


def test_a_word_nobody_knows_in_the_file_is_refused(tmp_path):
    (tmp_path / "fhirserver.toml").write_text("spelt_wrong = 1\n")
    with pytest.raises(SettingsError):
        read()


def test_the_open_server_may_listen_on_this_machine():
    for host in ("127.0.0.1", "::1", "localhost", "127.1.2.3"):
        assert Settings(auth="none", host=host).auth == "none"
    assert not is_loopback("127.0.0.1.example.org")


def test_where_the_database_is():
    assert Settings(data=Path("d")).database == Path("d/fhir.db")
    assert Settings(store="sqlite:////var/x.db").database == Path("/var/x.db")


def test_processes_that_are_started_see_the_same_settings(monkeypatch):
    settings = Settings(auth="none", port=1, cors_origins=("https://a", "https://b"), base_url=None)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert read() == settings


def test_every_wrong_setting_is_named():
    with pytest.raises(SettingsError) as refused:
        read(port="many", auth="some", workers=0, dicom_port="70000", spelt_wrong=1)
    names = sorted(text.partition(":")[0] for text in refused.value.wrong)
    assert names == ["auth", "dicom_port", "port", "spelt_wrong", "workers"]
    with pytest.raises(SettingsError) as refused:
        read(tls_key="key.pem", page_size=20, max_page_size=10, dicom_issuers="x")
    assert len(refused.value.wrong) == 3


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("OFF", False), ("1", True)])
def test_words_of_a_switch(monkeypatch, text, value):
    monkeypatch.setenv("FHIRSERVER_EXPUNGE", text)
    assert read().expunge is value


def test_what_is_in_memory_of_them_is_not_pydantic():
    code = "import sys, fhirserver.settings.reading; print('pydantic' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
