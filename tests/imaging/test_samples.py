"""The studies of the demonstration are what their headers say, and of its patients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest
from imaging.projection.place import Place, open_place
from interactions.client import BASE, now
from pydicom import dcmread

from fhirserver.demo.population import patients as bundles
from fhirserver.demo.systems import ACCESSION, MRN
from fhirserver.dicom.mapping.issuers import Issuers
from fhirserver.imaging.importing import Importer
from fhirserver.imaging.samples.studies import orders, write_studies
from fhirserver.load.journal import Journal
from fhirserver.model.json import Resource

TODAY = date(2026, 11, 21)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with open_place(tmp_path / "data") as found:
        found.issuers = Issuers(patient=MRN, accession=ACCESSION)
        yield found


def people() -> list[Resource]:
    return [
        entry["resource"]
        for bundle in bundles(3, 1, TODAY)
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "Patient"
    ]


def test_pixels_are_as_the_headers_say(tmp_path: Path) -> None:
    assert write_studies(tmp_path, people(), TODAY) == 3
    shapes = {path.name[:2]: dcmread(path).pixel_array.shape for path in sorted(tmp_path.iterdir())}
    assert shapes == {"CT": (128, 128), "CR": (384, 384), "US": (16, 160, 160)}
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1_500_000


class _Deaf:
    def done(self, path: Path) -> None:
        return None

    def refused(self, path: Path, reason: str) -> None:
        raise AssertionError(reason)


async def test_they_are_studies_of_the_patients_by_their_orders(
    place: Place, tmp_path: Path
) -> None:
    patients = people()
    for one in [*patients, *orders(patients, TODAY, ACCESSION)]:
        await place.client.put({k: v for k, v in one.items() if k != "managingOrganization"})
    folder = tmp_path / "files"
    folder.mkdir()
    write_studies(folder, patients, TODAY)
    importer = Importer(place.client.gate.dispatch, place.blobs.spool, BASE, now)
    with Journal(None) as journal:
        tally = await importer.run([folder], journal, _Deaf())
    assert (tally.stored, tally.studies) == (14, 3)
    await place.project()
    for patient, modality in zip(patients, ("CT", "CR", "US"), strict=True):
        (study,) = await place.found(f"ImagingStudy?patient={patient['id']}")
        assert study["modality"][0]["code"] == modality
        assert study["basedOn"][0]["reference"].startswith("ServiceRequest/order-acc-")
    assert len(await place.found("Patient")) == 3
