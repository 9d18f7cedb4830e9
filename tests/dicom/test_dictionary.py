"""The dictionary is pydicom's, without pydicom."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
from pydicom import datadict

from fhirserver.dicom.dictionary import Entry, entry, tag_of


def known(tag: int) -> Entry | None:
    try:
        return Entry(datadict.dictionary_VR(tag), datadict.keyword_for_tag(tag))
    except KeyError:
        return None


@given(
    st.sampled_from(sorted(datadict.DicomDictionary))
    | st.integers(0, 0xFFFFFFFF)
    | st.integers(0x6000, 0x601F).map(lambda group: group << 16 | 0x10)
)
def test_entries(tag: int) -> None:
    if not tag >> 16 & 1:
        assert entry(tag) == known(tag)


def test_keywords() -> None:
    for keyword, tag in datadict.keyword_dict.items():
        assert not keyword or tag_of(keyword) == tag
    assert tag_of("Nonsense") is None


def test_pydicom_itself_is_not_imported() -> None:
    code = """
import sys
from fhirserver.imaging.dicomweb.attributes import attribute, keyword
import fhirserver.imaging.dicomweb.application
assert attribute("PatientName") == (("00100010", "PN"),)
assert keyword("00100010") == "PatientName"
print([name for name in ("pydicom", "numpy", "PIL", "obstore") if name in sys.modules])
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
