"""The real server with its images in Azure Blob Storage and Google Cloud Storage, reached by the
variables of these services: stored over DICOMweb and DICOM, read, checked, deleted."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from e2e.server import Server, ran, serving
from imaging.dicomweb.house import address, instance, opened, parts
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage
from wire.object_storage import BUCKET, CLOUDS
from wire.server import Absent

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

DICOM = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
OCTETS = {"Accept": "application/octet-stream"}
KEY = base64.b64encode(bytes(range(32))).decode()
SEALED = {
    "plain": {},
    "sealed": {
        "FHIRSERVER_ENCRYPTION": "on",
        "FHIRSERVER_ENCRYPTION_KEY": "env:MASTER",
        "MASTER": KEY,
    },
}


@pytest.fixture(params=CLOUDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a server whose images are there."""
    start, scheme = CLOUDS[request.param]
    try:
        with start(tmp_path) as variables:
            yield variables | {"FHIRSERVER_BLOBS": f"{scheme}://{BUCKET}/pacs"}
    except Absent as absent:
        pytest.skip(str(absent))


@pytest.mark.parametrize("seal", SEALED)
def test_images_are_stored_read_checked_and_deleted(
    storage: dict[str, str], seal: str, tmp_path: Path
) -> None:
    data, env = tmp_path / "data", storage | SEALED[seal]
    sent, called = instance(), instance(PixelData=bytes(12 << 20), Rows=2048, Columns=3072)
    with serving(data, FHIRSERVER_DICOM_PORT="0", **env) as server:
        web = f"{server.root}/dicom-web"
        headers, body = parts(sent)
        stored = httpx2.post(f"{web}/studies", headers=headers, content=body, timeout=60)
        assert stored.status_code == 200, stored.text
        assert _c_store(_dicom_port(server), called) == 0
        for one in (sent, called):
            whole = httpx2.get(f"{web}{address(one)}", headers=DICOM, timeout=60)
            assert whole.status_code == 200, whole.text
            assert opened(one).PixelData in whole.content
            frame = httpx2.get(f"{web}{address(one)}/frames/1", headers=OCTETS, timeout=60)
            assert frame.content == opened(one).PixelData
        assert "2 instances" in _checked(data, env)
        deleted = httpx2.delete(f"{web}{address(called)}", timeout=60)
        assert deleted.status_code == 204
        assert httpx2.get(f"{web}{address(called)}", timeout=60).status_code == 410
    assert "1 instances" in _checked(data, env)
    with serving(data, **env) as server:
        again = httpx2.get(f"{server.root}/dicom-web{address(sent)}", headers=DICOM, timeout=60)
        assert opened(sent).PixelData in again.content
    assert not (data / "blobs").exists()


def _checked(data: Path, env: dict[str, str]) -> str:
    """What the check says of a server at which nothing is wrong."""
    done = ran(data.parent, "check", "--data", str(data), **env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "blobs without" not in done.stdout
    return done.stdout


def _c_store(port: int, data: bytes) -> int:
    """The status that a modality gets."""
    entity = AE("CT1")
    entity.add_requested_context(CTImageStorage)
    association = entity.associate("127.0.0.1", port, ae_title="FHIRSERVER")
    assert association.is_established
    status = association.send_c_store(opened(data))
    association.release()
    return int(status.Status)


def _dicom_port(server: Server) -> int:
    for line in server.process.stdout or ():
        if found := re.fullmatch(r"DICOM +\S+:(\d+)\n", line):
            return int(found[1])
    raise AssertionError("The server told no DICOM port.")
