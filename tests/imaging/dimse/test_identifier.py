"""Identifiers: what a hostile one does, and how keys and answers are told."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from pydicom.uid import ImplicitVRLittleEndian as Implicit
from pynetdicom.dsutils import encode

from fhirserver.errors import Invalid
from fhirserver.imaging.dimse.identifier import answer, asked, read

SYNTAXES = (Implicit, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)


def sent(data: Dataset) -> Dataset:
    """The data set as it arrives."""
    return read(BytesIO(encode(data, True, True, False)), Implicit, None)


@given(st.binary(max_size=300), st.sampled_from(SYNTAXES))
def test_no_bytes_raise_anything_else(content, syntax):
    try:
        asked(read(BytesIO(content), syntax, None))
    except Invalid:
        return


@given(st.data())
def test_nor_does_a_damaged_identifier(data):
    whole = Dataset()
    whole.SpecificCharacterSet = "ISO_IR 100"
    whole.QueryRetrieveLevel = "STUDY"
    whole.PatientName = "Müller^Anna"
    whole.StudyDate = "20260101-20260201"
    item = Dataset()
    item.Modality = "CT"
    whole.ScheduledProcedureStepSequence = [item]
    content = bytearray(encode(whole, True, True, False))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        asked(read(BytesIO(bytes(content)), Implicit, "ISO_IR 100"))
    except Invalid:
        return


def test_without_an_identifier():
    with pytest.raises(Invalid):
        read(None, Implicit, None)


def test_the_character_set_of_the_peer_is_assumed():
    data = Dataset()
    data.add_new(0x00100010, "PN", "Müller".encode("latin_1"))
    content = encode(data, True, True, False)
    assert read(BytesIO(content), Implicit, "ISO_IR 100").PatientName == "Müller"


def test_a_sequence_to_be_matched_has_one_item():
    data = Dataset()
    data.ScheduledProcedureStepSequence = [Dataset(), Dataset()]
    with pytest.raises(Invalid):
        asked(sent(data))


def test_what_is_asked_is_told_as_it_was():
    data = Dataset()
    data.PatientName = "Mül*"
    data.SpecificCharacterSet = "ISO_IR 192"
    data.StudyInstanceUID = ["1.2", "1.3"]
    data.StudyDescription = ""
    item = Dataset()
    item.Modality = "CT"
    data.ScheduledProcedureStepSequence = [item]
    assert asked(sent(data)).shown == (
        ("PatientName", "Mül*"),
        ("StudyInstanceUID", "1.2\\1.3"),
        ("ScheduledProcedureStepSequence", "Modality=CT"),
    )


def test_an_answer_has_what_was_asked_and_no_more():
    data = Dataset()
    data.PatientID = ""
    data.PatientName = ""
    item = Dataset()
    item.Modality = ""
    item.ScheduledProcedureStepID = ""
    data.ScheduledProcedureStepSequence = [item]
    match = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B", "Ideographic": "山田^太郎"}]},
        "00100030": {"vr": "DA", "Value": ["19700101"]},
        "00400100": {
            "vr": "SQ",
            "Value": [
                {
                    "00080060": {"vr": "CS", "Value": ["CT"]},
                    "00400001": {"vr": "AE", "Value": ["CT1"]},
                }
            ],
        },
    }
    found = answer(match, asked(sent(data)))
    assert str(found.PatientName) == "A^B=山田^太郎"
    assert found.PatientID is None or found.PatientID == ""
    assert "PatientBirthDate" not in found
    (step,) = found.ScheduledProcedureStepSequence
    assert (step.Modality, "ScheduledStationAETitle" in step) == ("CT", False)
    assert "ScheduledProcedureStepID" in step


def test_a_value_that_cannot_be_is_left_empty():
    data = Dataset()
    data.InstanceNumber = ""
    found = answer({"00200013": {"vr": "IS", "Value": ["one"]}}, asked(sent(data)))
    assert found.InstanceNumber in (None, "")
