"""Frames that pydicom has no decoder for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from imaging.dicomweb.house import file, read
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from fhirserver.errors import Unprocessable
from fhirserver.imaging.rendering.pixels import decoded, decompressed

imagecodecs = pytest.importorskip("imagecodecs")


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEG-lossy.dcm"])
def test_jpeg_of_12_bits_is_what_dcmtk_makes_of_it(name: str, tmp_path: Path) -> None:
    tool = shutil.which("dcmdjpeg") or ""
    if not tool:
        pytest.skip("dcmtk is not installed")
    subprocess.run([tool, str(file(name)), str(tmp_path / "a.dcm")], check=True)
    expected = pydicom.dcmread(tmp_path / "a.dcm").pixel_array
    dataset = read(name)
    assert np.array_equal(decoded(dataset), expected)
    decompressed(dataset)
    assert np.array_equal(dataset.pixel_array, expected)


def in_jpeg_xl(pixels: Any, bits: int, *, signed: bool = False) -> pydicom.Dataset:
    dataset = read("CT_small.dcm")
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = bits
    dataset.PixelRepresentation = int(signed)
    stored = pixels.view(f"u{pixels.dtype.itemsize}") & ((1 << bits) - 1)
    stored = stored.astype(f"u{pixels.dtype.itemsize}")
    dataset.PixelData = encapsulate([imagecodecs.jpegxl_encode(stored, lossless=True)])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.110")
    return dataset


@pytest.mark.parametrize(
    ("kind", "bits", "shape"),
    [
        ("u1", 8, (20, 30)),
        ("u2", 12, (20, 30)),
        ("u2", 16, (20, 30)),
        ("i2", 12, (20, 30)),
        ("i2", 16, (20, 30)),
        ("u1", 8, (20, 30, 3)),
    ],
)
def test_jpeg_xl_without_loss(kind: str, bits: int, shape: tuple[int, ...]) -> None:
    signed = kind == "i2"
    low = -(1 << (bits - 1)) if signed else 0
    made = np.random.default_rng(1).integers(low, low + (1 << bits), shape).astype(kind)
    assert np.array_equal(decoded(in_jpeg_xl(made, bits, signed=signed)), made)


def test_another_size_than_the_header_tells_is_refused() -> None:
    dataset = in_jpeg_xl(np.zeros((20, 30), "u1"), 8)
    dataset.Rows = 10
    with pytest.raises(Unprocessable):
        decoded(dataset)


@pytest.mark.parametrize("name", ["JPGExtended.dcm"])
def test_broken_bytes_are_refused(name: str) -> None:
    dataset = read(name)
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xc1" + bytes(100)])
    with pytest.raises(Unprocessable):
        decoded(dataset)
