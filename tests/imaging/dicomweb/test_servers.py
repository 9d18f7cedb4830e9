"""The whole server: encrypted, and of a tenant beside the default one."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from imaging.dicomweb.house import address, instance, opened, parts
from pydicom.pixels.utils import pixel_array
from serving import started

from fhirserver import Settings, create_app
from fhirserver.app import tenant_table
from fhirserver.app.tenants import Tenant

OCTETS = {"Accept": "application/octet-stream"}


async def _works(http: httpx2.AsyncClient, base: str) -> bytes:
    data = instance("SC_rgb_rle_2frame.dcm", PatientName="Hidden^Name")
    headers, body = parts(data)
    stored = await http.post(f"{base}/studies", headers=headers, content=body)
    assert stored.status_code == 200, stored.text
    address_told = stored.json()["00081199"]["Value"][0]["00081190"]["Value"]
    assert address_told == [f"http://localhost{base}{address(data)}"]
    found = await http.get(f"{base}/studies?PatientName=hidden*")
    assert [one["00100010"]["Value"] for one in found.json()] == [[{"Alphabetic": "Hidden^Name"}]]
    pixels = pixel_array(opened(data))
    frame = await http.get(f"{base}{address(data)}/frames/2", headers=OCTETS)
    assert np.array_equal(np.frombuffer(frame.content, "u1"), pixels[1].ravel())
    picture = await http.get(f"{base}{address(data)}/rendered")
    assert picture.headers["content-type"] == "image/jpeg"
    assert (await http.delete(f"{base}{address(data)}")).status_code == 204
    assert (await http.get(f"{base}{address(data)}")).status_code == 410
    return data


def _with(folder: Path, text: bytes) -> list[Path]:
    """The files that have a text in them."""
    return [one for one in folder.rglob("*") if one.is_file() and text in one.read_bytes()]


@pytest.mark.slow
async def test_an_encrypted_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER", base64.b64encode(bytes(range(32))).decode())
    settings: dict[str, Any] = {"encryption": "on", "encryption_key": "env:MASTER"}
    app = create_app(Settings(data=tmp_path, auth="none", **settings))
    async with started(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            await _works(http, "/dicom-web")
            kept = instance(PatientName="Hidden^Name")
            headers, body = parts(kept)
            await http.post("/dicom-web/studies", headers=headers, content=body)
    assert _with(tmp_path, b"Hidden") == []


async def test_an_open_server(tmp_path: Path) -> None:
    app = create_app(Settings(data=tmp_path, auth="none"))
    async with started(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            await _works(http, "/dicom-web")
            foreign = {"Host": "elsewhere.example.org"}
            assert (await http.get("/dicom-web/studies", headers=foreign)).status_code == 400


async def test_tenants_have_their_own(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, auth="none")
    async with tenant_table(settings) as table:
        await table.create(Tenant("one", 1))
    app = create_app(settings)
    async with started(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            await _works(http, "/t/one/dicom-web")
            headers, body = parts(data := instance())
            await http.post("/t/one/dicom-web/studies", headers=headers, content=body)
            assert (await http.get("/dicom-web/studies")).json() == []
            assert (await http.get(f"/dicom-web{address(data)}")).status_code == 404
            assert len((await http.get("/t/one/dicom-web/studies")).json()) == 1
