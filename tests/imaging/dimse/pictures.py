"""Small instances of our own making, as DICOM files."""

from __future__ import annotations

from pathlib import Path

import numpy
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
)

STUDY = "1.2.826.1"
OTHER_STUDY = "1.2.826.2"


def picture(folder: Path, uid: str, *, study: str = STUDY, series: str = "1", **more) -> Path:
    """A CT of 64 x 64 pixels; its UIDs begin with that of the study. `compressed`: by RLE."""
    compressed = more.pop("compressed", False)
    data = Dataset()
    data.SOPClassUID = more.pop("sop_class", CTImageStorage)
    data.StudyInstanceUID = study
    data.SeriesInstanceUID = f"{study}.{series}"
    data.SOPInstanceUID = f"{study}.{series}.{uid}"
    data.PatientName = "Müller^Anna"
    data.PatientID = "12345"
    data.SpecificCharacterSet = "ISO_IR 100"
    data.StudyDate = "20260301"
    data.StudyTime = "093000"
    data.StudyDescription = "Head"
    data.AccessionNumber = "ACC1"
    data.Modality = "CT"
    data.SeriesNumber = series
    data.InstanceNumber = uid
    data.Rows = data.Columns = 64
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit = 15
    data.SamplesPerPixel = 1
    data.PixelRepresentation = 0
    data.PhotometricInterpretation = "MONOCHROME2"
    for name, value in more.items():
        setattr(data, name, value)
    pixels = numpy.arange(64 * 64, dtype="<u2").reshape(64, 64)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.PixelData = pixels.tobytes()
    data["PixelData"].VR = "OW"
    if compressed:
        data.compress(RLELossless, pixels, encoding_plugin="pydicom", generate_instance_uid=False)
    place = folder / f"{data.SOPInstanceUID}.dcm"
    data.save_as(place, enforce_file_format=True)
    return place


__all__ = ["OTHER_STUDY", "STUDY", "MRImageStorage", "picture"]
