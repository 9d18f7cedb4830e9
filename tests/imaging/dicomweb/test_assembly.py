"""STOW-RS of metadata with bulk data apart: what comes of it is the instance that it was of."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from imaging.dicomweb.house import House, address, instance, opened, parts_of, read, written
from imaging.dicomweb.test_store import reasons, references
from pydicom.uid import generate_uid

from fhirserver.access.grant import ANONYMOUS
from fhirserver.imaging.dicomweb import assembly
from fhirserver.imaging.dicomweb.native_xml import native_xml
from fhirserver.imaging.dicomweb.store_response import CANNOT_UNDERSTAND, NO_RESOURCES, OTHER_STUDY

JSON = "application/dicom+json"
XML = "application/dicom+xml"
OCTETS = "application/octet-stream"
Part = tuple[str, str, bytes]


async def sent(web: House, *parts: Part, type: str = JSON, study: str = "") -> Any:
    body = b""
    for kind, location, content in parts:
        lines = [f"--b\r\nContent-Type: {kind}"]
        if location:
            lines.append(f"Content-Location: {location}")
        body += "\r\n".join([*lines, "", ""]).encode() + content + b"\r\n"
    kind = f'multipart/related; type="{type}"; boundary=b'
    return await web("POST", f"/studies{study}", {"Content-Type": kind}, body + b"--b--")


def document(*objects: Any) -> Part:
    return JSON, "", json.dumps(objects).encode()


async def fetched(web: House, data: bytes) -> tuple[dict[str, Any], list[str]]:
    """The metadata of an instance that was stored, under a new UID, and its bulk data's URIs."""
    assert (await web.store(data)).status == 200
    found = json.loads((await web("GET", f"{address(data)}/metadata")).body)[0]
    found["00080018"]["Value"] = [generate_uid()]
    return found, list(uris(found))


def uris(dataset: Any) -> Any:
    for attribute in dataset.values():
        if "BulkDataURI" in attribute:
            yield attribute["BulkDataURI"]
        if attribute["vr"] == "SQ":
            for item in attribute.get("Value", []):
                yield from uris(item)


async def plain(web: House, data: bytes) -> tuple[dict[str, Any], str]:
    """The same for one whose pixels are all its bulk data."""
    found, places = await fetched(web, data)
    for tag in [tag for tag, one in found.items() if "BulkDataURI" in one and tag != "7FE00010"]:
        del found[tag]
    return found, next(place for place in places if place.endswith("7FE00010"))


async def bulk(web: House, uri: str, accept: str = OCTETS) -> bytes:
    path = uri.partition("/dicom-web")[2]
    response = await web("GET", path, {"Accept": accept})
    assert response.status == 200, response.body
    return response.body


async def stored(web: House, attributes: Any) -> pydicom.Dataset:
    path = "/studies/{}/series/{}/instances/{}".format(
        *(attributes[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018"))
    )
    response = await web("GET", path, {"Accept": "application/dicom; transfer-syntax=*"})
    assert response.status == 200
    return opened(response.body)


def alike(one: pydicom.Dataset, other: pydicom.Dataset) -> None:
    for dataset in (one, other):
        for name in ("SOPInstanceUID", "SpecificCharacterSet", "DataSetTrailingPadding"):
            if name in dataset:
                del dataset[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert one.to_json_dict() == other.to_json_dict()


NATIVE = ["CT_small.dcm", "MR_small.dcm", "SC_rgb_small_odd.dcm", "rtdose.dcm", "waveform_ecg.dcm"]


@pytest.mark.parametrize("name", [*NATIVE, "test-SR.dcm", "liver_1frame.dcm"])
@pytest.mark.parametrize("pixels_first", [False, True])
async def test_what_was_retrieved_can_be_stored_again(
    web: House, name: str, pixels_first: bool
) -> None:
    data = instance(name)
    attributes, places = await fetched(web, data)
    bulks = [(OCTETS, uri, await bulk(web, uri)) for uri in places]
    bulks.sort(key=lambda part: "7FE000" in part[1], reverse=pixels_first)
    response = await sent(web, document(attributes), *bulks)
    assert response.status == 200, response.body
    assert references(response, "00081199") == attributes["00080018"]["Value"]
    alike(await stored(web, attributes), opened(data))


@pytest.mark.parametrize("name", ["CT_small.dcm", "waveform_ecg.dcm", "test-SR.dcm"])
async def test_the_same_in_xml(web: House, name: str) -> None:
    data = instance(name)
    attributes, places = await fetched(web, data)
    bulks = [(OCTETS, uri, await bulk(web, uri)) for uri in places]
    metadata = (XML, "", native_xml(json.dumps(attributes).encode()))
    response = await sent(web, metadata, *bulks, type=XML)
    assert response.status == 200, response.body
    alike(await stored(web, attributes), opened(data))


async def test_compressed_frames(web: House) -> None:
    data = instance("rtdose_rle.dcm")
    attributes, uri = await plain(web, data)
    kind = "image/dicom-rle; transfer-syntax=1.2.840.10008.1.2.5"
    accept = 'multipart/related; type="image/dicom-rle"; transfer-syntax=*'
    frames = [
        content
        for _, content in parts_of(
            await web("GET", uri.partition("/dicom-web")[2], {"Accept": accept})
        )
    ]
    assert len(frames) == 15
    numbered = [(kind, f"{uri}/frames/{n}", one) for n, one in enumerate(frames, 1)]
    response = await sent(web, document(attributes), *numbered)
    assert response.status == 200, response.body
    found = await stored(web, attributes)
    assert found.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"
    assert np.array_equal(found.pixel_array, opened(data).pixel_array)


@pytest.mark.parametrize("name", ["test-SR.dcm", "CT_small.dcm", "rtplan.dcm"])
async def test_dcmtk_reads_the_same_in_both(web: House, tmp_path: Path, name: str) -> None:
    tool = shutil.which("dcm2json") or ""
    if not tool:
        pytest.skip("dcmtk is not installed")
    data = instance(name)
    attributes, places = await fetched(web, data)
    bulks = [(OCTETS, uri, await bulk(web, uri)) for uri in places]
    assert (await sent(web, document(attributes), *bulks)).status == 200
    told = []
    for number, one in enumerate((data, written(await stored(web, attributes)))):
        source = tmp_path / f"{number}.dcm"
        source.write_bytes(one)
        done = await asyncio.to_thread(subprocess.run, [tool, str(source)], capture_output=True)
        assert done.returncode == 0, done.stderr
        told.append(json.loads(done.stdout))
        for tag in ("00080018", "00080005", "FFFCFFFC"):
            told[-1].pop(tag, None)
    assert told[0] == told[1]


async def test_text_is_stored_as_what_it_says(web: House) -> None:
    data = instance(SpecificCharacterSet="ISO_IR 192", PatientName="Müller^Jörg=山田")
    attributes, uri = await plain(web, data)
    attributes["00080005"]["Value"] = ["ISO_IR 100"]  # which could not say it
    response = await sent(web, document(attributes), (OCTETS, uri, await bulk(web, uri)))
    assert response.status == 200
    assert (await stored(web, attributes)).PatientName == "Müller^Jörg=山田"


async def test_each_fails_for_itself(web: House) -> None:
    data = instance()
    attributes, uri = await plain(web, data)
    pixels = await bulk(web, uri)

    def one(place: str, **changed: Any) -> Any:
        made = {**attributes, "00080018": {"vr": "UI", "Value": [generate_uid()]}, **changed}
        made["7FE00010"] = {"vr": "OW", "BulkDataURI": place}
        return made

    good, missing, short, long = one("good"), one("missing"), one("short"), one("long")
    broken = one("broken", **{"00280010": {"vr": "US", "Value": ["many"]}})
    response = await sent(
        web,
        document(good, missing, short, long, broken, {"nonsense": 1}),
        (OCTETS, "short", pixels[:-2]),
        (OCTETS, "long", pixels + b"\0\0"),
        (OCTETS, "broken", pixels),
        (OCTETS, "good", pixels),
        (OCTETS, "of nobody", pixels),
    )
    assert response.status == 202
    assert references(response, "00081199") == good["00080018"]["Value"]
    assert set(references(response, "00081198")) == {
        made["00080018"]["Value"][0] for made in (missing, short, long, broken)
    }
    assert set(reasons(response)) == {CANNOT_UNDERSTAND}
    assert len(response.json["0008119A"]["Value"]) == 1


async def test_another_study_than_that_of_the_address(web: House) -> None:
    attributes, uri = await plain(web, instance())
    parts = document(attributes), (OCTETS, uri, await bulk(web, uri))
    response = await sent(web, *parts, study="/1.2.3")
    assert response.status == 409
    assert reasons(response) == [OTHER_STUDY]


async def test_what_has_to_wait_is_bounded(web: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "MAX_HELD", 20_000)
    data = instance()
    attributes, uri = await plain(web, data)
    pixels = await bulk(web, uri)  # 32 KB, which go straight on
    attributes["00420011"] = {"vr": "OB", "BulkDataURI": "another"}
    response = await sent(
        web, document(attributes), (OCTETS, uri, pixels), (OCTETS, "another", b"12")
    )
    assert response.status == 409
    assert reasons(response) == [NO_RESOURCES]
    response = await sent(
        web, document(attributes), (OCTETS, "another", b"12"), (OCTETS, uri, pixels)
    )
    assert response.status == 200


async def test_metadata_are_bounded(web: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "MAX_METADATA", 1000)
    attributes, _ = await fetched(web, instance())
    assert (await sent(web, document(attributes))).status == 413


@pytest.mark.parametrize(
    ("type", "metadata"),
    [
        (JSON, b"{}"),
        (JSON, b"[" * 100_000),
        (JSON, b"[1]"),
        (XML, b"<NativeDicomModel>"),
        (XML, b"<!DOCTYPE x [<!ENTITY a 'b'>]><NativeDicomModel>&a;</NativeDicomModel>"),
        (XML, b"<NativeDicomModel><Value number='1'/></NativeDicomModel>"),
        (
            XML,
            b"<NativeDicomModel>"
            + b"<DicomAttribute tag='00081140' vr='SQ'><Item number='1'>" * 900,
        ),
        (
            XML,
            b"<NativeDicomModel><DicomAttribute tag='00280010' vr='US'><Value number='999999999'>1"
            b"</Value></DicomAttribute></NativeDicomModel>",
        ),
    ],
)
async def test_what_is_no_metadata_is_refused(web: House, type: str, metadata: bytes) -> None:
    assert (await sent(web, (type, "", metadata), type=type)).status == 400


async def test_sequences_without_end_fail_alone(web: House) -> None:
    deep: Any = {}
    for _ in range(60):
        deep = {"00081140": {"vr": "SQ", "Value": [deep]}}
    response = await sent(web, document(deep))
    assert response.status == 409


async def test_large_pixels_go_straight_on(web: House) -> None:
    dataset = read("CT_small.dcm")
    dataset.Rows = dataset.Columns = 1024
    dataset.NumberOfFrames = 4
    dataset.PixelData = bytes(1024 * 1024 * 2) * 4
    dataset.SOPInstanceUID = generate_uid()
    attributes, uri = await plain(web, written(dataset))
    response = await sent(web, document(attributes), (OCTETS, uri, dataset.PixelData))
    assert response.status == 200
    assert (await stored(web, attributes)).PixelData == dataset.PixelData


async def test_who_may_not_store_may_not_so_either(web: House) -> None:
    attributes, uri = await plain(web, instance())
    pixels = await bulk(web, uri)
    small = {tag: one for tag, one in attributes.items() if tag != "7FE00010"}
    web.grant = ANONYMOUS
    assert (await sent(web, document(attributes), (OCTETS, uri, pixels))).status in (401, 403)
    assert (await sent(web, document(small))).status in (401, 403)
    assert (await web.archive.count())[2] == 1
    assert await web.blobs.leftovers() == 0


async def test_a_body_that_breaks_off_leaves_nothing(web: House) -> None:
    attributes, uri = await plain(web, instance())
    head = f"--b\r\nContent-Type: {JSON}\r\n\r\n".encode() + document(attributes)[2]
    head += f"\r\n--b\r\nContent-Type: {OCTETS}\r\nContent-Location: {uri}\r\n\r\n".encode()
    kind = {"Content-Type": f'multipart/related; type="{JSON}"; boundary=b'}
    response = await web("POST", "/studies", kind, head + bytes(20_000))
    assert response.status in (202, 400, 409)
    assert (await web.archive.count())[2] == 1
    assert await web.blobs.leftovers() == 0
