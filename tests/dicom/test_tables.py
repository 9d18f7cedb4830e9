"""The tables of terminology/dicom are as their source says, and what the code expects of them."""

from __future__ import annotations

import hashlib
import tomllib

from pydicom.datadict import dictionary_VR
from pydicom.sr._concepts_dict import concepts

from fhirserver.definitions.packaged import dicom_table, folder
from fhirserver.dicom.deidentification.options import Options
from fhirserver.dicom.deidentification.profile import action

_FOLDER = folder() / "terminology/dicom"


def test_each_file_is_as_its_source_says() -> None:
    source = tomllib.loads((_FOLDER / "SOURCE.toml").read_text("utf-8"))
    assert {row["name"] for row in source["file"]} == {path.name for path in _FOLDER.glob("*.tsv")}
    for row in source["file"]:
        data = (_FOLDER / row["name"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        assert data.count(b"\n") == row["rows"] + 1


def test_codes_of_body_parts_are_those_of_dicom() -> None:
    known = {code for found in concepts["SCT"].values() for code in found}
    assert {row[1] for row in dicom_table("body-parts")} <= known


def test_every_action_of_the_profile_is_known() -> None:
    everything = Options(dates="shifted", patient=True, device=True, institution=True)
    for tag, *_ in dicom_table("confidentiality"):
        number = int(tag.replace("X", "0"), 16)
        for options in (Options(), everything, Options(uids=True, dates="kept")):
            assert action(number, "LO", options)


def test_every_person_name_of_the_dictionary_goes() -> None:
    """Also those that are younger than the table."""
    from pydicom._dicom_dict import DicomDictionary

    names = [tag for tag in DicomDictionary if dictionary_VR(tag) == "PN"]
    assert len(names) > 30
    assert not [tag for tag in names if action(tag, "PN", Options()) in ("keep", "clean")]
