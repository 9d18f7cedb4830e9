"""Pictures, held against dcmtk's dcmj2pnm, and against the formulas of PS3.3 C.11.2."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from imaging.rendering.test_frames import FILES, all_frames, opened
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from fhirserver.errors import FhirError, TooLarge, Unprocessable
from fhirserver.imaging.rendering.picture import picture
from fhirserver.imaging.rendering.wish import Viewport, Window, Wish

PNG = Wish("image/png")


def shown(dataset: pydicom.Dataset, pixels: Any, wish: Wish = PNG) -> np.ndarray[Any, Any]:
    from PIL import Image

    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    made = picture(out.getvalue(), pixels.tobytes(), 1, False, wish)
    return np.asarray(Image.open(io.BytesIO(made)))


def gray(values: Any, **attributes: Any) -> tuple[pydicom.Dataset, Any]:
    pixels = np.asarray(values)
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.SOPInstanceUID = generate_uid()
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset, pixels


RAMP = np.arange(0, 256, dtype=np.uint16).reshape(16, 16)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("CT_small.dcm", ["+Wm"]),
        ("MR_small.dcm", ["+Wi", "1"]),
        ("SC_rgb_rle_2frame.dcm", []),
        ("examples_palette.dcm", []),
        ("examples_rgb_color.dcm", []),
    ],
)
def test_as_dcmtk_shows_it(name: str, options: list[str], tmp_path: Path) -> None:
    from PIL import Image

    if shutil.which("dcmj2pnm") is None:
        pytest.skip("dcmtk is not installed")
    data, dataset, located = opened(name)
    source, target = next(FILES.rglob(name)), tmp_path / "shown.png"
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        plain = tmp_path / "plain.dcm"
        subprocess.run(["dcmdrle", source, plain], check=True)
        source = plain
    subprocess.run(["dcmj2pnm", "+on", *options, source, target], check=True, capture_output=True)
    header = data[: _element(data)]
    made = picture(header, next(all_frames(data, located)), 1, located.is_encapsulated, PNG)
    ours = np.asarray(Image.open(io.BytesIO(made))).astype(int)
    theirs = np.asarray(Image.open(target).convert("RGB" if ours.ndim == 3 else "L")).astype(int)
    assert np.abs(ours - theirs).max() <= 1


def _element(data: bytes) -> int:
    from fhirserver.dicom.header import read_header
    from fhirserver.dicom.part10 import read_file_meta

    meta = read_file_meta(data)
    found = read_header(data, meta.transfer_syntax, start=meta.start).pixel_data
    assert found is not None
    return meta.start + found


def test_linear_window() -> None:
    # PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5) * (ymax - ymin)
    found = shown(*gray(RAMP), Wish("image/png", Window(100, 51)))
    expected = np.clip(((RAMP - 99.5) / 50 + 0.5) * 255, 0, 255)
    assert np.abs(found - expected).max() <= 0.5 + 1e-9


def test_linear_exact_window() -> None:
    found = shown(*gray(RAMP), Wish("image/png", Window(100, 50, "linear-exact")))
    expected = np.clip(((RAMP - 100.0) / 50 + 0.5) * 255, 0, 255)
    assert np.abs(found - expected).max() <= 0.5 + 1e-9


def test_sigmoid_window() -> None:
    found = shown(*gray(RAMP), Wish("image/png", Window(100, 50, "sigmoid")))
    expected = 255 / (1 + np.exp(-4 * (RAMP - 100.0) / 50))
    assert np.abs(found - expected).max() <= 0.5 + 1e-9


def test_a_window_of_one_value_is_a_step() -> None:
    found = shown(*gray(RAMP), Wish("image/png", Window(100, 1)))
    assert np.array_equal(found, np.where(RAMP > 99, 255, 0))


def test_the_window_of_the_instance_counts_after_that_of_the_request() -> None:
    dataset, pixels = gray(RAMP, WindowCenter=["100", "20"], WindowWidth=["51", "2"])
    assert np.array_equal(
        shown(dataset, pixels), shown(*gray(RAMP), Wish("image/png", Window(100, 51)))
    )
    asked = Wish("image/png", Window(20, 2))
    assert np.array_equal(shown(dataset, pixels, asked), shown(*gray(RAMP), asked))


def test_rescaled_values_are_what_a_window_is_about() -> None:
    dataset, pixels = gray(RAMP, RescaleSlope="2", RescaleIntercept="-1000")
    found = shown(dataset, pixels, Wish("image/png", Window(-800, 101)))
    assert np.array_equal(found, shown(*gray(RAMP * 2), Wish("image/png", Window(200, 101))))


def test_monochrome1_and_inverse_are_the_other_way_round() -> None:
    usual = shown(*gray(RAMP))
    assert np.array_equal(shown(*gray(RAMP, PhotometricInterpretation="MONOCHROME1")), 255 - usual)
    assert np.array_equal(shown(*gray(RAMP, PresentationLUTShape="INVERSE")), 255 - usual)


def test_padding_does_not_widen_the_window() -> None:
    values = RAMP.astype(np.int16)
    padded = values.copy()
    padded[0, 0] = -2000
    found = shown(*gray(padded, PixelPaddingValue=-2000))
    assert np.array_equal(found, shown(*gray(np.maximum(values, 1)))) or found[0, 0] == 0
    assert found[15, 15] == 255


def test_a_voi_table() -> None:
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "US", [256, 0, 8])
    item.add_new("LUTData", "US", list(range(255, -1, -1)))
    assert np.array_equal(shown(*gray(RAMP, VOILUTSequence=[item])), 255 - RAMP)


def test_groups_of_the_frame() -> None:
    window = pydicom.Dataset()
    window.WindowCenter, window.WindowWidth = "100", "51"
    group = pydicom.Dataset()
    group.FrameVOILUTSequence = [window]
    dataset, pixels = gray(RAMP, PerFrameFunctionalGroupsSequence=[group])
    assert np.array_equal(
        shown(dataset, pixels), shown(*gray(RAMP), Wish("image/png", Window(100, 51)))
    )


def test_floats() -> None:
    values = np.linspace(-1, 1, 256, dtype=np.float32).reshape(16, 16)
    dataset, _ = gray(RAMP)
    del dataset.PixelRepresentation
    dataset.BitsAllocated = 32
    found = shown(dataset, values)
    assert np.abs(found.astype(int) - RAMP).max() <= 1


def test_one_value_only_is_drawn() -> None:
    assert shown(*gray(np.full((4, 4), 7, np.uint8))).shape == (4, 4)


@pytest.mark.parametrize(
    ("viewport", "size"),
    [
        (Viewport(8, 8), (8, 8)),
        (Viewport(32, 64), (32, 32)),
        (Viewport(8, 8, 4, 4), (8, 8)),
        (Viewport(100, 100, 0, 8), (50, 100)),
        (Viewport(8, 8, 0, 0, 4, 2), (4, 8)),
        (Viewport(16, 16, 0, 0, 1000, 1000), (16, 16)),
    ],
)
def test_viewports(viewport: Viewport, size: tuple[int, int]) -> None:
    assert shown(*gray(RAMP), Wish("image/png", viewport=viewport)).shape == size


def test_mirrored() -> None:
    found = shown(*gray(RAMP), Wish("image/png", viewport=Viewport(16, 16, 0, 0, -16, -16)))
    assert np.array_equal(found, shown(*gray(RAMP))[::-1, ::-1])


def test_a_viewport_beside_the_image() -> None:
    with pytest.raises(Unprocessable):
        shown(*gray(RAMP), Wish("image/png", viewport=Viewport(8, 8, 16, 0)))


def test_formats_are_what_they_are_said_to_be() -> None:
    from PIL import Image

    dataset, pixels = gray(RAMP)
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    for name in ("jpeg", "png", "gif", "webp"):
        made = picture(out.getvalue(), pixels.tobytes(), 1, False, Wish(f"image/{name}"))  # type: ignore[arg-type]
        assert Image.open(io.BytesIO(made)).format == name.upper()


def test_bombs_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(TooLarge):
        shown(*gray(RAMP, Rows=65535, Columns=65535))


@pytest.mark.parametrize("junk", [b"", b"x" * 500, b"\0" * 128 + b"DICM" + b"\xff" * 100])
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(FhirError):
        picture(junk, b"", 1, False, PNG)
