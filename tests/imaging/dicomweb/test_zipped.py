"""A study as a ZIP file."""

from __future__ import annotations

import io
import warnings
import zipfile

import pytest
from imaging.dicomweb.house import House, address, instance, opened
from pydicom.uid import generate_uid

ZIP = "application/zip"


async def test_a_study_as_stored(web: House) -> None:
    series = generate_uid()
    data = [instance(), instance(SeriesInstanceUID=series), instance("MR_small_RLE.dcm")]
    mine = [one for one in data if opened(one).StudyInstanceUID == opened(data[0]).StudyInstanceUID]
    assert (await web.store(*data)).status == 200
    study = address(data[0]).partition("/series")[0]
    response = await web("GET", study, {"Accept": f"{ZIP}; transfer-syntax=*"})
    assert response.status == 200
    assert response.headers["content-type"] == ZIP
    assert response.headers["content-disposition"].startswith("attachment; filename=")
    with zipfile.ZipFile(io.BytesIO(response.body)) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == sorted(
            f"{opened(one).SeriesInstanceUID}/{opened(one).SOPInstanceUID}.dcm" for one in mine
        )
        for one in mine:
            found = opened(one)
            name = f"{found.SeriesInstanceUID}/{found.SOPInstanceUID}.dcm"
            assert opened(archive.read(name)).PixelData == found.PixelData


async def test_without_a_transfer_syntax_it_is_decoded(web: House) -> None:
    data = instance("MR_small_RLE.dcm")
    await web.store(data)
    response = await web("GET", address(data), {"Accept": ZIP})
    with zipfile.ZipFile(io.BytesIO(response.body)) as archive:
        found = opened(archive.read(archive.namelist()[0]))
    assert found.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert (found.pixel_array == opened(data).pixel_array).all()


async def test_what_cannot_be_had_so_is_refused_before_it_begins(web: House) -> None:
    data = instance()
    await web.store(data)
    accept = {"Accept": f"{ZIP}; transfer-syntax=1.2.840.10008.1.2.4.50"}
    assert (await web("GET", address(data), accept)).status == 406


@pytest.mark.parametrize("accept", ["*/*", 'multipart/related; type="application/dicom"', ""])
async def test_nobody_gets_one_who_did_not_ask(web: House, accept: str) -> None:
    data = instance()
    await web.store(data)
    response = await web("GET", address(data), {"Accept": accept} if accept else {})
    assert response.headers["content-type"].startswith("multipart/related")


@pytest.mark.parametrize("uid", ["..", "...", "./1"])
async def test_no_entry_is_a_path_of_the_senders_making(web: House, uid: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = instance(SeriesInstanceUID=uid)
    response = await web.store(data)
    assert response.status in (400, 409)
    assert (await web.archive.count())[2] == 0
