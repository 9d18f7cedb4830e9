"""The DICOM port over TLS, as `serve` has it by its settings, called by dcmtk (PS3.15 B.9)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from certificate import Authority
from e2e.dicom_port import echo, found, free_port, needs_dcmtk, store, told, until
from e2e.server import serving
from imaging.dimse.pictures import STUDY, picture

pytestmark = [pytest.mark.e2e, pytest.mark.slow, needs_dcmtk]

TITLE = "FHIRSERVER"


class Place(NamedTuple):
    """A server that wants certificates of clients; `trusted` are dcmtk's options to know it."""

    folder: Path
    port: str
    house: Authority
    trusted: tuple[str, str]

    def shown(self, name: str, authority: Authority | None = None) -> list[str]:
        """dcmtk's options to show a certificate of that name."""
        certificate, key = (authority or self.house).issue(name)
        return ["+tls", str(key), str(certificate), *self.trusted]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """CT1 is a peer that has to show a certificate of the name ct1."""
    folder = tmp_path_factory.mktemp("tls")
    house = Authority(folder, "house")
    certificate, key = house.issue("localhost")
    told(
        folder, "dicom", "peers", "add", "CT1", "--from", "127.0.0.1",
        "--may", "echo store find", "--certificate", "ct1",
    )  # fmt: skip
    port = free_port()
    settings = {
        "FHIRSERVER_DICOM_PORT": port,
        "FHIRSERVER_DICOM_TLS_CERTIFICATE": str(certificate),
        "FHIRSERVER_DICOM_TLS_KEY": str(key),
        "FHIRSERVER_DICOM_TLS_CLIENTS": str(house.path),
    }
    with serving(folder / "data", "--auth", "smart", **settings):
        found = Place(folder, port, house, ("+cf", str(house.path)))
        until(lambda: echo(TITLE, port, *found.shown("ct1")) == 0)
        yield found


def test_a_peer_with_its_certificate_stores_and_asks(place: Place) -> None:
    shown = place.shown("ct1")
    assert store(TITLE, place.port, picture(place.folder, "1"), *shown) == 0
    until(lambda: STUDY in found(TITLE, place.port, *shown))


def test_others_are_refused(place: Place) -> None:
    stranger = Authority(place.folder, "stranger")
    assert echo(TITLE, place.port, *place.shown("ct1", stranger)) != 0, "of another authority"
    assert echo(TITLE, place.port, *place.shown("mr1")) != 0, "of another name"
    assert echo(TITLE, place.port, "+tla", *place.trusted) != 0, "without a certificate"
    assert echo(TITLE, place.port) != 0, "without TLS"
    assert echo(TITLE, place.port, *place.shown("ct1")) == 0
