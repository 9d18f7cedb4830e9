"""A copy of a study that names nobody, for those who may export."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from imaging.projection.place import Place, open_place
from interactions.client import BASE, now
from pydicom import dcmread
from pydicom.data import get_testdata_file

from fhirserver.access.grant import grant_of
from fhirserver.access.principal import Principal
from fhirserver.errors import Forbidden, NotFound, Unprocessable
from fhirserver.imaging.importing import Importer
from fhirserver.load.journal import Journal
from fhirserver.operations.imaging import de_identify


class _Deaf:
    def done(self, path: Path) -> None:
        return None

    def refused(self, path: Path, reason: str) -> None:
        raise AssertionError(reason)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with open_place(tmp_path / "data") as found:
        yield found


async def imported(place: Place, folder: Path, name: str = "CT_small.dcm", **more: Any) -> str:
    """Stores a file of pydicom's, with other values, twice; the UID of its study."""
    folder = folder / "files"
    folder.mkdir(exist_ok=True)
    data = dcmread(str(get_testdata_file(name)))
    for number in (1, 2):
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{number}"
        data.PatientName = "Zebulon^Quirinius"
        data.InstitutionName = "Zebulon Hospital"
        for keyword, value in more.items():
            setattr(data, keyword, value)
        data.save_as(folder / f"{number}.dcm")
    importer = Importer(place.client.gate.dispatch, place.blobs.spool, BASE, now)
    with Journal(None) as journal:
        await importer.run([folder], journal, _Deaf())
    await place.project()
    return str(data.StudyInstanceUID)


def values(parameters: Any) -> dict[str, Any]:
    return {
        item["name"]: next(value for name, value in item.items() if name != "name")
        for item in parameters["parameter"]
    }


async def test_a_copy_that_names_nobody(place: Place, tmp_path: Path) -> None:
    uid = await imported(place, tmp_path)
    found = values(await place.client.call(f"ImagingStudy/{uid}/$de-identify"))
    copy = found["study"].removeprefix("urn:oid:")
    assert found["instances"] == 2
    assert copy != uid
    for held in await place.archive.held(copy):
        file = await place.blobs.get(held.blob)
        assert b"zebulon" not in file.lower()
        data = dcmread(BytesIO(file))
        assert data.StudyInstanceUID == copy
        assert data.file_meta.MediaStorageSOPInstanceUID == data.SOPInstanceUID
        assert data.pixel_array.shape == (128, 128)
    await place.project()
    study = await place.client.get(found["imagingStudy"]["reference"])
    patient = await place.client.get(study["subject"]["reference"])
    assert patient["meta"]["tag"][0]["code"] == "de-identified"
    assert "Zebulon" not in str(study) + str(patient)
    again = values(await place.client.call(f"ImagingStudy/{uid}/$de-identify"))
    assert again["study"] == found["study"]
    assert len(await place.archive.held(copy)) == 2


async def test_options(place: Place, tmp_path: Path) -> None:
    uid = await imported(place, tmp_path)
    found = values(
        await place.client.call(
            f"ImagingStudy/{uid}/$de-identify",
            {"name": "dates", "valueCode": "shifted"},
            {"name": "retain", "valueCode": "institution-identity"},
            {"name": "retain", "valueCode": "patient-characteristics"},
        )
    )
    held, _ = await place.archive.held(found["study"].removeprefix("urn:oid:"))
    data = dcmread(BytesIO(await place.blobs.get(held.blob)))
    assert "19900101" < data.StudyDate < "20040119"
    assert data.PatientSex == "O"
    assert not data.InstitutionName  # retained, but it has the patient's name in it


async def test_pixels_that_show_who_it_is(place: Place, tmp_path: Path) -> None:
    uid = await imported(place, tmp_path, BurnedInAnnotation="YES")
    with pytest.raises(Unprocessable):
        await place.client.call(f"ImagingStudy/{uid}/$de-identify")
    assert (await place.archive.count())[0] == 1
    assert place.recorded.events == []


async def test_it_is_on_record_as_an_export(place: Place, tmp_path: Path) -> None:
    uid = await imported(place, tmp_path)
    await place.client.call(f"ImagingStudy/{uid}/$de-identify")
    (event,) = place.recorded.events
    assert (event.kind, event.about) == ("export", (f"ImagingStudy/{uid}",))
    subject = (await place.study(uid))["subject"]["reference"]
    assert f"Patient/{event.patient}" == subject


@pytest.mark.parametrize(
    ("role", "refusal"), [("doctor", Forbidden), ("nurse", Forbidden), ("patient", Forbidden)]
)
async def test_it_is_an_export(
    place: Place, tmp_path: Path, role: str, refusal: type[Exception]
) -> None:
    uid = await imported(place, tmp_path)
    study = await place.study(uid)
    who = study["subject"]["reference"] if role == "patient" else "Practitioner/1"
    grant = grant_of(Principal("somebody", "default", (role,), fhir_user=who))
    with pytest.raises(refusal):
        await place.client.call(f"ImagingStudy/{uid}/$de-identify", grant=grant)


async def test_a_study_that_is_not_there(place: Place) -> None:
    with pytest.raises(NotFound):
        await place.client.call("ImagingStudy/1.2.3/$de-identify")


@pytest.mark.parametrize("name", ["CT_small.dcm", "rtdose_rle.dcm", "MR_small_bigendian.dcm"])
async def test_pixels_go_from_blob_to_blob_and_what_is_behind_them_goes(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    source = dcmread(str(get_testdata_file(name)))
    more = {"DataSetTrailingPadding": b"Zebulon^"}
    if name != "rtdose_rle.dcm":
        more["NumberOfFrames"] = 400
        more["PixelData"] = source.PixelData * 400
    monkeypatch.setattr(de_identify, "_LARGEST", 64 * 1024)
    uid = await imported(place, tmp_path, name, **more)
    found = values(await place.client.call(f"ImagingStudy/{uid}/$de-identify"))
    copy = found["study"].removeprefix("urn:oid:")
    held = await place.archive.held(copy)
    assert len(held) == 2
    for one in held:
        file = await place.blobs.get(one.blob)
        assert b"zebulon" not in file.lower()
        data = dcmread(BytesIO(file))
        assert list(data)[-1].tag == 0x7FE00010
        assert data.PixelData == more.get("PixelData", source.PixelData)


async def test_what_is_held_is_bounded(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(de_identify, "_LARGEST", 1024)
    uid = await imported(place, tmp_path)
    with pytest.raises(Unprocessable):
        await place.client.call(f"ImagingStudy/{uid}/$de-identify")
