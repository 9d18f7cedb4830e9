"""No value that names anybody is left of a data set, wherever it was planted."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from fhirserver.definitions.packaged import dicom_table
from fhirserver.dicom.deidentification.data_set import deidentify
from fhirserver.dicom.deidentification.options import Options

KEY = bytes(range(32))
_PLANTED: dict[str, Any] = {
    **dict.fromkeys(("LO", "SH", "ST", "LT", "UC", "UT", "AE"), "Zebulon77"),
    "CS": "ZEBULON77",
    "PN": "Zebulon^Quirinius",
    "DA": "19770707",
    "DT": "19770707070707",
    "TM": "070707.777",
    "AS": "077Y",
    "DS": "77777.7",
    "IS": "77777",
    "UI": "1.2.77777.7777",
    "UR": "http://zebulon77.example",
    "OB": b"Zebulon77 ",
    "UN": b"Zebulon77 ",
}
_NEEDLES = (b"zebulon", b"quirinius", b"19770707", b"070707.777", b"077y", b"77777")


def planted() -> Dataset:
    """A CT slice with something telling in every attribute of the table, at three depths."""
    data = dcmread(get_testdata_file("CT_small.dcm"))
    plant(data)
    inner, outer = Dataset(), Dataset()
    plant(inner)
    outer.add_new(0x00081199, "SQ", Sequence([inner]))
    plant(outer)
    data.add_new(0x00082218, "SQ", Sequence([outer]))  # Anatomic Region Sequence: stays
    data.PatientID = "ID-77777"
    return data


def plant(data: Dataset) -> None:
    block = data.private_block(0x0099, "ZEBULON77", create=True)
    block.add_new(0x01, "LO", "Zebulon77")
    block.add_new(0x02, "SQ", Sequence([Dataset()]))
    data.add_new(0x60003000, "OB", b"Zebulon77 ")
    data.add_new(0x50100010, "LO", "Zebulon77")
    data.add_new(0x0008FFF0, "PN", "Zebulon^Quirinius")  # of no edition
    for tag, *_ in dicom_table("confidentiality"):
        if "X" in tag or int(tag, 16) >> 16 in (0x0000, 0x0002, 0x0004):
            continue
        try:
            vr = dictionary_VR(int(tag, 16))
        except KeyError:
            continue
        if vr == "SQ":
            item = Dataset()
            item.add_new(0x00100010, "PN", "Zebulon^Quirinius")
            item.add_new(0x0040A160, "UT", "Zebulon77")
            data.add_new(int(tag, 16), vr, Sequence([item]))
        elif tag == "00340007":  # Frame Origin Timestamp: a time in bytes
            data.add_new(int(tag, 16), vr, b"19770707")
        elif vr in _PLANTED and dictionary_VM(int(tag, 16)):
            data.add_new(int(tag, 16), vr, _PLANTED[vr])


def written(data: Dataset) -> bytes:
    out = BytesIO()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dcmwrite(out, data, enforce_file_format=False)
    return out.getvalue().lower()


def told(data: Dataset, *, kept: tuple[bytes, ...] = ()) -> list[bytes]:
    """The planted values that the written data set still has (file meta information aside)."""
    del data.file_meta.MediaStorageSOPInstanceUID
    whole = written(data)
    return [needle for needle in _NEEDLES if needle in whole and needle not in kept]


def test_nothing_planted_is_left() -> None:
    data = planted()
    before = told(data)
    assert len(before) == len(_NEEDLES)
    data = planted()
    deidentify(data, Options(), KEY)
    assert told(data) == []
    assert not [tag for tag in list(data.keys()) if tag.is_private]


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (Options(uids=True), (b"77777",)),
        (Options(dates="shifted"), (b"070707.777",)),
        (Options(dates="kept"), (b"19770707", b"070707.777")),
        (Options(descriptors=True), ()),
    ],
)
def test_an_option_keeps_what_it_says_and_no_more(
    options: Options, kept: tuple[bytes, ...]
) -> None:
    data = planted()
    deidentify(data, options, KEY)
    assert told(data, kept=kept) == []


def test_it_says_what_was_done() -> None:
    data = dcmread(get_testdata_file("CT_small.dcm"))
    deidentify(data, Options(dates="shifted", uids=True), KEY)
    assert data.PatientIdentityRemoved == "YES"
    assert data.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = [item.CodeValue for item in data.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113110", "113107"]


def test_pixels_and_geometry_stay() -> None:
    data = dcmread(get_testdata_file("CT_small.dcm"))
    before = dcmread(get_testdata_file("CT_small.dcm"))
    deidentify(data, Options(), KEY)
    for name in ("PixelData", "Rows", "PixelSpacing", "ImagePositionPatient", "KVP", "ImageType"):
        assert data[name].value == before[name].value


def test_what_belongs_together_stays_together() -> None:
    one, other = (dcmread(get_testdata_file("CT_small.dcm")) for _ in range(2))
    other.SOPInstanceUID = f"{one.SOPInstanceUID}.1"
    reference = Dataset()
    reference.ReferencedSOPClassUID = one.SOPClassUID
    reference.ReferencedSOPInstanceUID = str(one.SOPInstanceUID)
    other.ReferencedImageSequence = Sequence([reference])
    deidentify(one, Options(), KEY)
    deidentify(other, Options(), KEY)
    assert one.StudyInstanceUID == other.StudyInstanceUID
    assert one.SOPInstanceUID != other.SOPInstanceUID
    found = other.ReferencedImageSequence[0]
    assert found.ReferencedSOPInstanceUID == one.SOPInstanceUID
    assert found.ReferencedSOPClassUID == one.SOPClassUID
    assert one.PatientID == other.PatientID
    again = dcmread(get_testdata_file("CT_small.dcm"))
    deidentify(again, Options(), bytes(32))
    assert again.StudyInstanceUID != one.StudyInstanceUID
    assert again.PatientID != one.PatientID


def test_dates_of_a_patient_move_together() -> None:
    data = dcmread(get_testdata_file("CT_small.dcm"))
    data.StudyDate, data.SeriesDate = "20040119", "20040121"
    deidentify(data, Options(dates="shifted"), KEY)
    assert data.StudyDate < "20040119"
    assert int(data.SeriesDate) - int(data.StudyDate) in (2, 71, 72, 73)  # over a month's end
    assert data.StudyTime == "072730"


def test_names_written_elsewhere_are_found() -> None:
    data = dcmread(get_testdata_file("CT_small.dcm"))
    data.PatientName = "Zebulon^Quirinius"
    data.ReferringPhysicianName = "Oboe^Ann"
    data.ManufacturerModelName = "of Zebulon"
    data.Manufacturer = "OBOE Inc."
    data.SoftwareVersions = ["1.0", "q4711"]
    data.PatientID = "4711"
    deidentify(data, Options(device=True), KEY)
    assert not data.ManufacturerModelName
    assert not data.Manufacturer
    assert not data.SoftwareVersions


def test_clean_descriptors_keep_plain_words() -> None:
    data = dcmread(get_testdata_file("CT_small.dcm"))
    data.StudyDescription = "CT Chest of Dr. Gruber with contrast"
    deidentify(data, Options(descriptors=True), KEY)
    assert data.StudyDescription == "CT Chest of with contrast"


@given(st.text(alphabet="ABCDEFGHJKLMNPQRSTUVWXYZ", min_size=5, max_size=12), st.data())
def test_a_name_is_found_in_any_text(name: str, draw: st.DataObject) -> None:
    keyword = draw.draw(
        st.sampled_from(["ImageComments", "ProtocolName", "Manufacturer", "SeriesDescription"])
    )
    data = Dataset()
    data.PatientName = f"{name}^X"
    data.PatientID = "1"
    setattr(data, keyword, f"for {name.lower()}, again")
    options = draw.draw(st.sampled_from([Options(), Options(descriptors=True, device=True)]))
    deidentify(data, options, KEY)
    assert name.lower() not in str(data).lower()
