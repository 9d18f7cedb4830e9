"""WADO-RS: instances, metadata, frames, bulk data and pictures."""

from __future__ import annotations

import asyncio
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from imaging.dicomweb.house import DICOM, House, address, instance, opened, parts_of, read
from pydicom.pixels.utils import pixel_array

from fhirserver.blobs import folder

MULTI = 'multipart/related; type="application/dicom"'
OCTETS = "application/octet-stream"
OHIF = "multipart/related; type=application/octet-stream; transfer-syntax=*"
EXPLICIT = "1.2.840.10008.1.2.1"


async def told(*command: Any) -> bytes:
    """What a command prints."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output


# One of each kind of transfer syntax that pydicom brings.
SYNTAXES = [
    "CT_small.dcm",  # explicit
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "image_dfl.dcm",  # deflated
    "SC_rgb_rle_2frame.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",  # baseline
    "SC_rgb_jpeg_gdcm.dcm",  # lossless
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_jp2klossless.dcm",
    "JPEG2000.dcm",
    "examples_ybr_color.dcm",
    "liver_1frame.dcm",  # single bits
    "rtplan.dcm",  # no pixels
    "reportsi.dcm",
]


@pytest.mark.parametrize("name", SYNTAXES)
async def test_as_stored_and_in_explicit_little_endian(web: House, name: str) -> None:
    data = instance(name)
    assert (await web.store(data)).status == 200
    sent = opened(data)
    stored = await web("GET", address(data), {"Accept": f"{DICOM}; transfer-syntax=*"})
    assert stored.status == 200
    syntax = sent.file_meta.TransferSyntaxUID
    assert stored.headers["content-type"] == f"{DICOM}; transfer-syntax={syntax}"
    assert opened(stored.body) == sent
    plain = await web("GET", address(data), {"Accept": DICOM})
    assert plain.status == 200
    made = opened(plain.body)
    assert made.file_meta.TransferSyntaxUID == EXPLICIT
    assert made.SOPInstanceUID == sent.SOPInstanceUID
    assert int(plain.headers["content-length"]) == len(plain.body)
    if "PixelData" in sent:
        assert np.array_equal(pixel_array(made), pixel_array(sent))


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"]
)
@pytest.mark.parametrize("name", ["CT_small.dcm", "SC_rgb_rle_2frame.dcm"])
async def test_compressed_without_loss(web: House, name: str, syntax: str) -> None:
    data = instance(name)
    await web.store(data)
    response = await web("GET", address(data), {"Accept": f"{DICOM}; transfer-syntax={syntax}"})
    assert response.status == 200
    made = opened(response.body)
    assert made.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(pixel_array(made), pixel_array(opened(data)))


async def test_what_dcmtk_makes_of_jpeg_is_what_we_make(web: House, tmp_path: Path) -> None:
    if shutil.which("dcmdjpeg") is None:
        pytest.skip("dcmtk is not installed")
    data = instance("SC_rgb_jpeg_gdcm.dcm")
    await web.store(data)
    source, target = tmp_path / "in.dcm", tmp_path / "out.dcm"
    source.write_bytes(data)
    await told("dcmdjpeg", source, target)
    ours = await web("GET", f"{address(data)}/frames/1", {"Accept": OCTETS})
    assert ours.body == pydicom.dcmread(target).PixelData[: len(ours.body)]


async def test_a_transfer_syntax_that_is_not_made(web: House) -> None:
    data = instance()
    await web.store(data)
    for syntax in ("1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.50", "1.2.3"):
        accept = {"Accept": f"{DICOM}; transfer-syntax={syntax}"}
        assert (await web("GET", address(data), accept)).status == 406


async def test_studies_and_series_in_parts(web: House) -> None:
    first, second = instance(), instance(SeriesInstanceUID="1.2.3")
    await web.store(first, second)
    study = f"/studies/{opened(first).StudyInstanceUID}"
    for accept in ({"Accept": MULTI}, {}, {"Accept": "*/*"}):
        response = await web("GET", study, accept)
        assert response.status == 200
        assert int(response.headers["content-length"]) == len(response.body)
        found = parts_of(response)
        assert {headers["content-location"] for headers, _ in found} == {
            f"http://localhost/dicom-web{address(one)}" for one in (first, second)
        }
        for headers, content in found:
            assert headers["content-type"] == f"{DICOM}; transfer-syntax={EXPLICIT}"
            assert opened(content) in (opened(first), opened(second))
    assert len(parts_of(await web("GET", f"{study}/series/1.2.3", {"Accept": MULTI}))) == 1
    assert (await web("GET", study, {"Accept": DICOM})).status == 406


async def test_parts_of_a_file(web: House) -> None:
    data = instance()
    await web.store(data)
    whole = (await web("GET", address(data), {"Accept": DICOM})).body
    for text, part in (
        ("bytes=128-131", b"DICM"),
        ("bytes=-10", whole[-10:]),
        (f"bytes={len(whole) - 3}-", whole[-3:]),
        ("bytes=0-99999999", whole),
    ):
        response = await web("GET", address(data), {"Accept": DICOM, "Range": text})
        assert (response.status, response.body) == (206, part)
        assert response.headers["content-range"].endswith(f"/{len(whole)}")
    beyond = {"Accept": DICOM, "Range": f"bytes={len(whole)}-"}
    assert (await web("GET", address(data), beyond)).status == 416
    several = {"Accept": DICOM, "Range": "bytes=0-1,5-6"}
    assert (await web("GET", address(data), several)).status == 200


async def test_head(web: House) -> None:
    data = instance()
    await web.store(data)
    head = await web("HEAD", address(data), {"Accept": DICOM})
    got = await web("GET", address(data), {"Accept": DICOM})
    assert head.body == b""
    assert head.headers["content-length"] == str(len(got.body))


async def test_metadata(web: House) -> None:
    data = instance()
    await web.store(data)
    study = f"/studies/{opened(data).StudyInstanceUID}"
    for path in (study, address(data).partition("/instances")[0], address(data)):
        response = await web("GET", f"{path}/metadata")
        assert response.headers["content-type"] == "application/dicom+json"
        found = response.json[0]
        assert found["00080018"]["Value"] == [str(opened(data).SOPInstanceUID)]
        uri = found["7FE00010"]["BulkDataURI"]
        assert uri == f"http://localhost/dicom-web{address(data)}/bulkdata/7FE00010"
    bulk = await web("GET", f"{address(data)}/bulkdata/7FE00010", {"Accept": OCTETS})
    assert bulk.body == opened(data).PixelData
    again = {"If-None-Match": response.headers["etag"]}
    assert (await web("GET", f"{address(data)}/metadata", again)).status == 304
    await web.store(instance())
    other = {"If-None-Match": (await web("GET", f"{study}/metadata")).headers["etag"]}
    await web.store(instance())
    assert (await web("GET", f"{study}/metadata", other)).status == 200


@pytest.mark.parametrize("name", ["CT_small.dcm", "reportsi.dcm", "rtplan.dcm"])
async def test_xml_is_that_of_dcmtk(web: House, name: str, tmp_path: Path) -> None:
    if shutil.which("dcm2xml") is None:
        pytest.skip("dcmtk is not installed")
    from xml.etree.ElementTree import Element, fromstring

    data = instance(name)
    await web.store(data)
    accept = {"Accept": "multipart/related; type=application/dicom+xml"}
    ours = fromstring(parts_of(await web("GET", f"{address(data)}/metadata", accept))[0][1])
    source = tmp_path / "in.dcm"
    source.write_bytes(data)
    theirs = fromstring(await told("dcm2xml", "-nat", "+U8", source))

    def texts(root: Element) -> dict[str, Any]:
        found = {}
        for element in root:
            if element.get("vr") in ("DS", "FL", "FD", "UN", "OB", "OW", "SQ"):
                continue
            values = [one.text for one in element.iter() if one.text and one.text.strip()]
            found[element.get("tag")] = (element.get("vr"), values)
        found.pop("00080005", None)
        return found

    left, right = texts(ours), texts(theirs)
    shared = [tag for tag in right if not int(str(tag)[:4], 16) % 2 and tag in left]
    assert len(shared) > 15
    assert {tag: left[tag] for tag in shared} == {tag: right[tag] for tag in shared}


async def test_frames_as_viewers_ask_for_them(web: House) -> None:
    data = instance("SC_rgb_rle_2frame.dcm")
    await web.store(data)
    pixels = pixel_array(opened(data))
    for accept in (OCTETS, f'multipart/related; type="{OCTETS}"', "*/*", ""):
        response = await web("GET", f"{address(data)}/frames/2", {"Accept": accept})
        assert response.status == 200
        body = response.body
        if "multipart" in response.headers["content-type"]:
            ((headers, body),) = parts_of(response)
            assert headers["content-type"] == f"{OCTETS}; transfer-syntax={EXPLICIT}"
        assert body == pixels[1].tobytes()
    response = await web("GET", f"{address(data)}/frames/2,1,2", {"Accept": f"{MULTI}, {OHIF}"})
    found = parts_of(response)
    assert [headers["content-type"] for headers, _ in found] == [
        "image/dicom-rle; transfer-syntax=1.2.840.10008.1.2.5"
    ] * 3
    assert found[0] == found[2] != found[1]
    assert (await web("GET", f"{address(data)}/frames/1,2", {"Accept": OCTETS})).status == 406


@pytest.mark.parametrize(
    ("name", "accept", "type", "syntax"),
    [
        ("JPEG2000.dcm", "image/jp2", "image/jp2", "1.2.840.10008.1.2.4.91"),
        ("JPEG2000.dcm", "image/*", "image/jp2", "1.2.840.10008.1.2.4.91"),
        ("SC_rgb_jpeg_dcmtk.dcm", "image/jpeg", "image/jpeg", "1.2.840.10008.1.2.4.50"),
        ("MR_small_jpeg_ls_lossless.dcm", "image/x-jls", "image/jls", "1.2.840.10008.1.2.4.80"),
        ("CT_small.dcm", "image/jls", "image/jls", "1.2.840.10008.1.2.4.80"),
        ("CT_small.dcm", "image/jp2", "image/jp2", "1.2.840.10008.1.2.4.90"),
        ("CT_small.dcm", "image/jpeg, image/jls;q=0.5", "image/jls", "1.2.840.10008.1.2.4.80"),
    ],
)
async def test_compressed_frames(
    web: House, name: str, accept: str, type: str, syntax: str
) -> None:
    data = instance(name)
    await web.store(data)
    for in_parts in (False, True):
        ranges = [one.partition(";") for one in accept.split(", ")]
        header = ", ".join(
            f"multipart/related; type={one}{semicolon}{rest}"
            if in_parts
            else f"{one}{semicolon}{rest}"
            for one, semicolon, rest in ranges
        )
        response = await web("GET", f"{address(data)}/frames/1", {"Accept": header})
        assert response.status == 200
        told = response.headers["content-type"]
        if in_parts:
            assert told.startswith(f'multipart/related; type="{type}"')
            told = parts_of(response)[0][0]["content-type"]
        assert told == f"{type}; transfer-syntax={syntax}"


async def test_frames_that_cannot_be_had(web: House) -> None:
    data, report = instance(), instance("reportsi.dcm")
    await web.store(data, report)
    for path, status in (
        (f"{address(data)}/frames/2", 404),
        (f"{address(data)}/frames/0", 404),
        (f"{address(data)}/frames/1,2", 404),
        (f"{address(data)}/frames/x", 400),
        (f"{address(data)}/frames/", 404),
        (f"{address(report)}/frames/1", 404),
        (f"{address(report)}/rendered", 404),
        ("/studies/1.2.3/series/1.2/instances/1.2/frames/1", 404),
    ):
        assert (await web("GET", path)).status == status, path
    accept = {"Accept": "multipart/related; type=video/mp4"}
    assert (await web("GET", f"{address(data)}/frames/1", accept)).status == 406


async def test_frames_asked_for_at_once(web: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """As viewers do: where they are is remembered, and counted, once."""
    monkeypatch.setattr(folder, "_AT_ONCE", 0)  # every read takes its time
    data = instance("SC_rgb_rle_2frame.dcm")
    await web.store(data)
    path, headers = f"{address(data)}/frames/1", {"Accept": OHIF}
    answers = await asyncio.gather(*(web("GET", path, headers) for _ in range(8)))
    assert {response.status for response in answers} == {200}
    kept = web.web._services._images
    assert kept._size == sum(len(found.starts) + 100 for found in kept._known.values())


async def test_bulk_data(web: House) -> None:
    data = instance("SC_rgb_rle_2frame.dcm")
    native = instance()
    await web.store(data, native)
    response = await web("GET", f"{address(data)}/bulkdata/7FE00010", {"Accept": OHIF})
    assert len(parts_of(response)) == 2
    path = f"{address(native)}/bulkdata/7FE00010"
    body = parts_of(await web("GET", path))[0][1]
    assert body == opened(native).PixelData
    part = await web("GET", path, {"Accept": OCTETS, "Range": "bytes=4-7"})
    assert (part.status, part.body) == (206, body[4:8])
    for missing in ("00100010", "7FE00011", "00081140/1/00081150", "x", "../../x"):
        gone = await web("GET", f"{address(native)}/bulkdata/{missing}")
        assert gone.status == 404, missing


async def test_bulk_data_inside_sequences(web: House) -> None:
    item = pydicom.Dataset()
    item.add_new(0x00660016, "OF", np.arange(1000, dtype=np.float32).tobytes())
    data = instance("reportsi.dcm", SurfaceSequence=[item])
    await web.store(data)
    found = (await web("GET", f"{address(data)}/metadata")).json[0]
    uri = found["00660002"]["Value"][0]["00660016"]["BulkDataURI"]
    response = await web("GET", uri.removeprefix("http://localhost/dicom-web"), {"Accept": OCTETS})
    assert response.body == item[0x00660016].value


async def test_pictures(web: House) -> None:
    from PIL import Image

    data, second = instance(), instance("SC_rgb_rle_2frame.dcm")
    await web.store(data, second)
    study, series = address(data).split("/series")[0], address(data).split("/instances")[0]
    for path in (study, series, address(data), f"{address(data)}/frames/1"):
        for format in ("jpeg", "png", "gif", "webp"):
            response = await web("GET", f"{path}/rendered", {"Accept": f"image/{format}"})
            assert response.status == 200
            assert response.headers["content-type"] == f"image/{format}"
            assert Image.open(io.BytesIO(response.body)).size == (128, 128)
        small = await web("GET", f"{path}/thumbnail?viewport=64,64")
        assert Image.open(io.BytesIO(small.body)).size == (64, 64)
        again = {"If-None-Match": small.headers["etag"]}
        assert (await web("GET", f"{path}/thumbnail?viewport=64,64", again)).status == 304
    accept = {"Accept": "multipart/related; type=image/png"}
    frames = parts_of(await web("GET", f"{address(second)}/frames/1,2/rendered", accept))
    assert [headers["content-type"] for headers, _ in frames] == ["image/png"] * 2
    wide = await web("GET", f"{address(data)}/rendered?window=40,400,linear&annotation=patient")
    assert "annotation" in wide.headers["warning"]
    narrow = await web("GET", f"{address(data)}/rendered?window=40,10,linear")
    assert narrow.body != wide.body


@pytest.mark.parametrize(
    "query",
    ["window=1", "window=1,0", "window=a,b", "window=1,2,cubic", "window=nan,1", "viewport=0,1",
     "viewport=1", "viewport=99999,1", "viewport=1,1,-1,0,1,1", "quality=0", "quality=101"],
)  # fmt: skip
async def test_wishes_that_are_none(web: House, query: str) -> None:
    data = instance()
    await web.store(data)
    assert (await web("GET", f"{address(data)}/rendered?{query}")).status == 400


async def test_what_cannot_be_decoded_is_told(web: House) -> None:
    dataset = read("JPEG2000.dcm")
    dataset.PixelData = dataset.PixelData[:100] + bytes(len(dataset.PixelData) - 100)
    dataset["PixelData"].is_undefined_length = True
    from imaging.dicomweb.house import written

    data = written(dataset)
    await web.store(data)
    assert (await web("GET", f"{address(data)}/rendered")).status == 422
    assert (
        await web("GET", address(data), {"Accept": f"{DICOM}; transfer-syntax=*"})
    ).status == 200
    assert (await web("GET", address(data), {"Accept": DICOM})).status == 406


async def test_wado_uri(web: House) -> None:
    data = instance()
    await web.store(data)
    found = opened(data)
    uids = (
        f"studyUID={found.StudyInstanceUID}&seriesUID={found.SeriesInstanceUID}"
        f"&objectUID={found.SOPInstanceUID}"
    )
    response = await web("GET", f"/wado?requestType=WADO&{uids}&contentType=application/dicom")
    assert opened(response.body) == found
    picture = await web("GET", f"/wado?requestType=WADO&{uids}&rows=50&frameNumber=1")
    assert picture.headers["content-type"] == "image/jpeg"
    for query in (uids, "requestType=WADO", f"requestType=WADO&{uids}&frameNumber=x"):
        assert (await web("GET", f"/wado?{query}")).status == 400


async def test_deleting(web: House) -> None:
    first, second, third = (
        instance(), instance(), instance(SeriesInstanceUID="1.2.3")
    )  # fmt: skip
    await web.store(first, second, third)
    study = address(first).split("/series")[0]
    for path in (address(first), f"{study}/series/1.2.3", study):
        assert (await web("DELETE", path)).status == 204
        assert (await web("GET", path, {"Accept": MULTI})).status == 410
        assert (await web("DELETE", path)).status == 410
    assert (await web("DELETE", "/studies/9.9")).status == 404


async def test_what_is_deleted_leaves_no_bytes_and_may_come_again(
    web: House, tmp_path: Path
) -> None:
    data = instance()

    def kept() -> list[str]:
        return [path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file()]

    for _ in range(2):
        assert (await web.store(data)).status == 200
        assert len(kept()) == 1
        assert (await web("GET", address(data), {"Accept": MULTI})).status == 200
        assert (await web("DELETE", address(data))).status == 204
        assert kept() == []
