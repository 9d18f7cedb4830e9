"""When the DICOM port cannot be served, and how its processes are kept."""

from __future__ import annotations

import socket

import pytest

from fhirserver import Settings
from fhirserver.app import dicom as process
from fhirserver.cli.beside import NEVER
from fhirserver.cli.dicom import dicom_port


def test_there_is_none_unless_it_is_set(tmp_path):
    with dicom_port(Settings(data=tmp_path)) as port:
        assert port is None


def test_a_port_that_is_taken(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(data=tmp_path, dicom_port=taken.getsockname()[1])
        with pytest.raises(SystemExit), dicom_port(settings):
            pass
    assert "cannot be listened on" in capsys.readouterr().err


def test_certificates_that_are_none(tmp_path, capsys):
    (tmp_path / "certificate.pem").write_text("nothing")
    settings = Settings(
        data=tmp_path, dicom_port=0, dicom_tls_certificate=tmp_path / "certificate.pem"
    )
    with pytest.raises(SystemExit), dicom_port(settings):
        pass
    assert "certificates" in capsys.readouterr().err


def test_an_open_server_listens_on_its_own_machine_only(tmp_path):
    with pytest.raises(ValueError, match="dicom_host"):
        Settings(data=tmp_path, auth="none", dicom_port=0, dicom_host="0.0.0.0")


def test_both_sides_mean_the_same_by_the_end_of_a_process():
    assert process.NEVER == NEVER
