"""TLS of the built-in server: what it is, what is said without it."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from certificate import make_certificate

from fhirserver.cli.tls import check_files, harden, warning
from fhirserver.settings import Settings, SettingsError


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def test_what_is_left() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    harden(context)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    of_12 = [one["name"] for one in context.get_ciphers() if one["protocol"] == "TLSv1.2"]
    assert of_12
    for name in of_12:
        assert name.startswith("ECDHE-")
        assert "GCM" in name or "CHACHA20" in name


def test_certificate_and_key_belong_together(files: tuple[Path, Path], tmp_path: Path) -> None:
    certificate, key = files
    _, other = make_certificate(tmp_path)
    settings = Settings(tls_certificate=certificate, tls_key=key)
    check_files(settings)
    assert settings.scheme == "https"
    for wrong in (other, certificate, tmp_path / "absent.pem"):
        with pytest.raises(OSError):
            check_files(Settings(tls_certificate=certificate, tls_key=wrong))
    with pytest.raises(SettingsError, match="or neither"):
        Settings(tls_certificate=certificate)


def test_who_sends_secrets_in_the_clear_is_told(files: tuple[Path, Path]) -> None:
    certificate, key = files
    told = warning(Settings(host="0.0.0.0", auth="smart"))
    assert told is not None
    assert "in the clear" in told
    for settings in (
        Settings(host="127.0.0.1", auth="smart"),
        Settings(auth="none"),
        Settings(host="0.0.0.0", auth="smart", trusted_proxies=("10.0.0.1",)),
        Settings(host="0.0.0.0", auth="smart", tls_certificate=certificate, tls_key=key),
    ):
        assert warning(settings) is None
