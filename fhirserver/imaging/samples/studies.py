"""Studies of patients of the demonstration: a CT, a radiograph, an ultrasound; and their orders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from fhirserver.imaging.samples.phantoms import Pixels, beating, radiograph, slices
from fhirserver.model.json import Resource

_CT: Final = "1.2.840.10008.5.1.4.1.1.2"
_CR: Final = "1.2.840.10008.5.1.4.1.1.1"
_US: Final = "1.2.840.10008.5.1.4.1.1.3.1"
_NAMES: Final = UUID("6f7f3c53-0f07-4f3a-9a53-0b1f5ad3a4c1")
_SEXES: Final = {"female": "F", "male": "M", "other": "O"}


@dataclass(frozen=True, slots=True)
class Sample:
    """A study to be made. `days` ago it was; `loinc` is the procedure."""

    modality: str
    sop_class: str
    part: str
    description: str
    loinc: str
    days: int

    def accession(self, patient: Resource) -> str:
        return f"ACC-{self.modality}-{patient['id'].rpartition('-')[2]}"


SAMPLES: Final = (
    Sample("CT", _CT, "CHEST", "CT Chest without contrast", "29252-4", 3),
    Sample("CR", _CR, "CHEST", "XR Chest PA", "24648-8", 12),
    Sample("US", _US, "HEART", "US Heart", "42148-7", 30),
)


def orders(patients: Sequence[Resource], today: date, system: str) -> Iterator[Resource]:
    """The ServiceRequests that the studies answer, by accession numbers of that system."""
    for sample, patient in zip(SAMPLES, patients, strict=False):
        accession = sample.accession(patient)
        code = {"system": "http://loinc.org", "code": sample.loinc}
        yield {
            "resourceType": "ServiceRequest",
            "id": f"order-{accession.lower()}",
            "identifier": [{"system": system, "value": accession}],
            "status": "completed",
            "intent": "order",
            "code": {"coding": [code], "text": sample.description},
            "subject": {"reference": f"Patient/{patient['id']}"},
            "authoredOn": (today - timedelta(days=sample.days + 2)).isoformat(),
        }


def write_studies(folder: Path, patients: Sequence[Resource], today: date) -> int:
    """Writes a study for each of the first patients, as DICOM files; how many studies."""
    count = 0
    for sample, patient in zip(SAMPLES, patients, strict=False):
        for number, data in enumerate(_instances(sample, patient, today), 1):
            data.save_as(folder / f"{sample.modality}{number:03d}.dcm", enforce_file_format=True)
        count += 1
    return count


def _instances(sample: Sample, patient: Resource, today: date) -> Iterator[Dataset]:
    if sample.modality == "CT":
        pixels = slices(12)
        for number, slice_ in enumerate(pixels, 1):
            data = _header(sample, patient, today, number)
            _place(data, number)
            yield _with_pixels(data, slice_)
    elif sample.modality == "CR":
        data = _header(sample, patient, today, 1)
        data.ViewPosition, data.WindowCenter, data.WindowWidth = "PA", 1500, 3000
        yield _with_pixels(data, radiograph(), bits=12)
    else:
        data = _header(sample, patient, today, 1)
        frames = beating(16)
        data.NumberOfFrames, data.FrameTime = len(frames), 60
        data.FrameIncrementPointer = 0x00181063
        yield _with_pixels(data, frames)


def _header(sample: Sample, patient: Resource, today: date, number: int) -> Dataset:
    """A data set without pixels."""
    key = f"{patient['id']}/{sample.modality}"
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID, data.SOPInstanceUID = sample.sop_class, _uid(f"{key}/{number}")
    data.StudyInstanceUID, data.SeriesInstanceUID = _uid(key), _uid(f"{key}/series")
    day = today - timedelta(days=sample.days)
    for name in ("Study", "Series", "Acquisition", "Content"):
        setattr(data, f"{name}Date", f"{day:%Y%m%d}")
        setattr(data, f"{name}Time", "093000")
    data.TimezoneOffsetFromUTC = "+0000"
    data.AccessionNumber, data.StudyID = sample.accession(patient), sample.modality
    data.Modality, data.Manufacturer = sample.modality, "fhirserver demonstration"
    data.ReferringPhysicianName = ""
    data.StudyDescription, data.SeriesDescription = sample.description, "Synthetic phantom"
    data.BodyPartExamined, data.PatientPosition = sample.part, "HFS"
    data.ImageType = ["DERIVED", "SECONDARY"]
    data.SeriesNumber, data.InstanceNumber = 1, number
    data.BurnedInAnnotation = "NO"
    _of_patient(data, patient)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = data.SOPClassUID
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta = meta
    return data


def _of_patient(data: Dataset, patient: Resource) -> None:
    name = patient["name"][0]
    parts = [name.get("family", ""), *name.get("given", ["", ""])[:2]]
    data.PatientName = "^".join(parts).rstrip("^")
    data.PatientID = patient["identifier"][0]["value"]
    data.PatientBirthDate = patient.get("birthDate", "").replace("-", "")
    data.PatientSex = _SEXES.get(patient.get("gender", ""), "")


def _place(data: Dataset, number: int) -> None:
    """Where a slice lies, and how its values are meant."""
    data.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
    data.FrameOfReferenceUID = _uid(f"{data.StudyInstanceUID}/frame")
    data.PixelSpacing, data.SliceThickness = [2.8, 2.8], 10
    data.ImagePositionPatient = [-180, -180, 10 * number]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.RescaleIntercept, data.RescaleSlope, data.RescaleType = 0, 1, "HU"
    data.WindowCenter, data.WindowWidth = [40, -600], [400, 1500]
    data.KVP = 120


def _with_pixels(data: Dataset, pixels: Pixels, bits: int | None = None) -> Dataset:
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = pixels.shape[-2:]
    data.BitsAllocated = pixels.dtype.itemsize * 8
    data.BitsStored = bits or data.BitsAllocated
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    return data


def _uid(name: str) -> str:
    return f"2.25.{uuid5(_NAMES, name).int}"
