"""Others' clients against us, over sockets: Orthanc's and dicomweb-client."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imaging.dicomweb.house import House, instance, opened
from imaging.dicomweb.orthanc import PLUGIN, Orthanc, orthanc
from live import listening
from pydicom.pixels.utils import pixel_array

NAMES = ["CT_small.dcm", "SC_rgb_rle_2frame.dcm", "JPEG2000.dcm", "reportsi.dcm"]


@asynccontextmanager
async def served(web: House) -> AsyncIterator[str]:
    """The base of DICOMweb, listening."""
    async with listening(web.web) as origin:
        yield f"{origin}/dicom-web"


@pytest.mark.slow
async def test_orthanc_stores_searches_and_retrieves(web: House, tmp_path: Path) -> None:
    if not PLUGIN.exists():
        pytest.skip("Orthanc's DICOMweb is not installed")
    instances = [instance(name) for name in NAMES]

    def work(base: str) -> None:
        with orthanc(tmp_path, us=base) as peer:
            uploaded = [peer.ask("POST", "/instances", one)["ID"] for one in instances]
            _orthanc(peer, uploaded, instances)

    async with served(web) as base:
        await asyncio.to_thread(work, base)


def _orthanc(peer: Orthanc, uploaded: list[str], instances: list[bytes]) -> None:
    sent = peer.ask(
        "POST", "/dicom-web/servers/us/stow", {"Resources": uploaded, "Synchronous": True}
    )
    assert int(sent["InstancesCount"]) == len(instances)
    for one in instances:
        found = opened(one)
        arguments = {"0020000D": str(found.StudyInstanceUID)}
        answer = peer.ask(
            "POST", "/dicom-web/servers/us/qido", {"Uri": "/studies", "Arguments": arguments}
        )
        assert [match["0020000D"]["Value"] for match in answer] == [str(found.StudyInstanceUID)]
    for identifier in uploaded:
        peer.ask("DELETE", f"/instances/{identifier}")
    assert peer.ask("GET", "/instances") == []
    studies = {str(opened(one).StudyInstanceUID) for one in instances}
    resources = [{"Study": study} for study in studies]
    got = peer.ask(
        "POST", "/dicom-web/servers/us/retrieve", {"Resources": resources, "Synchronous": True}
    )
    assert int(got["ReceivedInstancesCount"]) == len(instances)
    for identifier in peer.ask("GET", "/instances"):
        back = opened(peer.ask("GET", f"/instances/{identifier}/file"))
        (original,) = (
            opened(one) for one in instances if opened(one).SOPInstanceUID == back.SOPInstanceUID
        )
        assert back.PatientID == original.PatientID
        if "PixelData" in original:
            assert np.array_equal(pixel_array(back), pixel_array(original))


async def test_dicomweb_client(web: House) -> None:
    async with served(web) as base:
        await asyncio.to_thread(_client, base)


def _client(base: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dicomweb_client.api import DICOMwebClient

        client = DICOMwebClient(base)
        instances = [opened(instance(name)) for name in NAMES]
        answer = client.store_instances(instances)
        assert len(answer.ReferencedSOPSequence) == len(instances)
        assert len(client.search_for_instances()) == len(instances)
        found = client.search_for_studies(
            fields=["StudyDescription"], search_filters={"PatientID": instances[0].PatientID}
        )
        assert found[0]["0020000D"]["Value"] == [str(instances[0].StudyInstanceUID)]
        for one in instances:
            _retrieved(client, one)
        first = instances[0]
        client.delete_study(str(first.StudyInstanceUID))
        assert client.search_for_series(str(first.StudyInstanceUID)) == []


def _retrieved(client: Any, sent: Any) -> None:
    uids = (str(sent.StudyInstanceUID), str(sent.SeriesInstanceUID), str(sent.SOPInstanceUID))
    assert client.retrieve_instance(*uids).SOPInstanceUID == sent.SOPInstanceUID
    stored = client.retrieve_instance(*uids, media_types=(("application/dicom", "*"),))
    assert stored == sent
    assert [one.SOPInstanceUID for one in client.retrieve_study(uids[0])] == [uids[2]]
    metadata = client.retrieve_instance_metadata(*uids)
    assert metadata["00080018"]["Value"] == [uids[2]]
    if "PixelData" not in sent:
        return
    pixels = pixel_array(sent)
    last = int(sent.get("NumberOfFrames") or 1)
    frames = client.retrieve_instance_frames(
        *uids, [last], media_types=(("application/octet-stream", "1.2.840.10008.1.2.1"),)
    )
    expected = pixels[last - 1] if last > 1 else pixels
    assert frames == [expected.tobytes()]
    picture = client.retrieve_instance_rendered(*uids, media_types=("image/png",))
    assert picture.startswith(b"\x89PNG")
