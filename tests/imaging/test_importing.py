"""Folders of files into the archive: everything that is an instance, and a reason for the rest."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from imaging.projection.place import Place, open_place
from interactions.client import BASE, now
from pydicom import dcmread
from pydicom.data import get_testdata_file

from fhirserver.imaging.importing import Importer, Tally
from fhirserver.load.journal import Journal


class Heard:
    """Takes down what is told."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.reasons: dict[str, str] = {}

    def done(self, path: Path) -> None:
        self.names.append(path.name)

    def refused(self, path: Path, reason: str) -> None:
        self.reasons[path.name] = reason


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with open_place(tmp_path / "data") as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two instances, one of them twice, and some files that are none."""
    found = tmp_path / "files"
    (found / "deep").mkdir(parents=True)
    for name in ("CT_small.dcm", "MR_small.dcm"):
        shutil.copy(str(get_testdata_file(name)), found / "deep" / name)
    shutil.copy(str(get_testdata_file("CT_small.dcm")), found / "again.dcm")
    shutil.copy(str(get_testdata_file("DICOMDIR")), found / "DICOMDIR")
    (found / "empty").touch()
    (found / "readme.txt").write_text("no DICOM")
    (found / "cut.dcm").write_bytes(Path(str(get_testdata_file("MR_small.dcm"))).read_bytes()[:400])
    return found


async def imported(place: Place, folder: Path, journal: Path | None = None) -> tuple[Tally, Heard]:
    heard = Heard()
    importer = Importer(place.client.gate.dispatch, place.blobs.spool, BASE, now)
    with Journal(journal) as done:
        return await importer.run([folder], done, heard), heard


async def test_a_folder(place: Place, folder: Path) -> None:
    tally, heard = await imported(place, folder)
    assert tally == Tally(files=7, stored=2, there=1, refused=4, studies=2)
    assert sorted(heard.reasons) == ["DICOMDIR", "cut.dcm", "empty", "readme.txt"]
    assert len(heard.names) == 7
    await place.project()
    studies = await place.found("ImagingStudy?_sort=modality")
    assert [one["modality"][0]["code"] for one in studies] == ["CT", "MR"]
    (held,) = await place.archive.held(str(dcmread(folder / "again.dcm").StudyInstanceUID))
    kept = await place.blobs.get(held.blob)
    was = (folder / "again.dcm").read_bytes()
    assert kept[-30_000:] == was[-30_000:]


async def test_it_goes_on_where_it_was(place: Place, folder: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    await imported(place, folder, journal)
    shutil.copy(str(get_testdata_file("JPEG2000.dcm")), folder / "more.dcm")
    tally, _ = await imported(place, folder, journal)
    assert (tally.stored, tally.there, tally.studies) == (1, 3, 1)


async def test_another_instance_of_the_same_uid_is_refused(place: Place, tmp_path: Path) -> None:
    for number in (1, 2):
        data = dcmread(str(get_testdata_file("CT_small.dcm")))
        data.InstanceNumber = number
        data.save_as(tmp_path / f"{number}.dcm")
    _, heard = await imported(place, tmp_path / "1.dcm")
    tally, heard = await imported(place, tmp_path / "2.dcm")
    assert (tally.stored, tally.other, tally.refused) == (0, 1, 1)
    assert "same SOP Instance UID" in heard.reasons["2.dcm"]
