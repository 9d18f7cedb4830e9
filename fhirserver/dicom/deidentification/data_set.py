"""The profile applied to a data set (PS3.15 E.1.1), in place.

Private elements go, also from items of sequences; so do curves, overlays, signatures and
padding. The data set then says of itself what was done (PS3.3 C.12.1.1.3, C.7.1.1).
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date
from functools import cache
from typing import Any, Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from fhirserver.definitions.packaged import dicom_table
from fhirserver.dicom.deidentification.options import MODIFIED, Options
from fhirserver.dicom.deidentification.profile import action
from fhirserver.dicom.deidentification.pseudonyms import Pseudonyms
from fhirserver.dicom.deidentification.traces import Traces, texts

_TEXT: Final = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
"""Representations in which traces are looked for; numbers, dates and UIDs are judged alone."""

_TECHNICAL_TAGS: Final = frozenset({0x00080005, 0x00080008, 0x00080060})
"""Character set, image type and modality are terms without which a data set cannot be read."""

_DUMMIES: Final[dict[str, Any]] = {
    "DA": "19000101",
    "DT": "19000101000000",
    "TM": "000000",
    "AS": "000Y",
    "DS": "0",
    "IS": "0",
    "CS": "REMOVED",
    "AE": "REMOVED",
    "UR": "urn:removed",
    **dict.fromkeys(("LO", "LT", "PN", "SH", "ST", "UC", "UT"), "REMOVED"),
    **dict.fromkeys(("FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"), 0),
}
_DAY: Final = re.compile(r"(\d{4})(\d\d)(\d\d)(.*)", re.ASCII | re.DOTALL)
_WORD: Final = re.compile(r"[^\W\d_]+")


def deidentify(data: Dataset, options: Options, key: bytes) -> Pseudonyms:
    """Changes the data set as the profile says; the pseudonyms that were given.

    File meta information is the caller's to write anew, `pixels.refuse` the caller's to ask.
    """
    _drop_unreadable(data)
    issuer = str(data.get("IssuerOfPatientID", "") or "")
    pseudonyms = Pseudonyms(key, f"{issuer}\0{data.get('PatientID', '') or ''}")
    traces = Traces(data)
    _apply(data, options, pseudonyms, traces)
    data.PatientID = pseudonyms.patient
    data.PatientName = pseudonyms.patient
    _tell(data, options)
    return pseudonyms


def _drop_unreadable(data: Dataset) -> None:
    """Takes away the elements whose values cannot be read: nobody can tell what they say."""
    for tag in list(data.keys()):
        try:
            element = data[tag]
            items = list(element.value or ()) if element.VR == "SQ" else ()
        except Exception:  # noqa: BLE001  whatever is wrong with it, it cannot stay
            del data[tag]
            continue
        for item in items:
            _drop_unreadable(item)


def _apply(data: Dataset, options: Options, pseudonyms: Pseudonyms, traces: Traces) -> None:
    for tag in list(data.keys()):
        if tag.is_private or tag.group < 0x0008:
            del data[tag]
            continue
        element = data[tag]
        _change(data, element, action(int(tag), element.VR, options), pseudonyms)
        if tag not in data:
            continue
        if element.VR == "SQ":
            for item in element.value or ():
                _apply(item, options, pseudonyms, traces)
        elif _may_name(element) and any(map(traces.are_in, texts(element.value))):
            element.value = None


def _may_name(element: Any) -> bool:
    """Whether an element is a text that people may write names into."""
    tag = int(element.tag)
    return element.VR in _TEXT and tag not in _TECHNICAL_TAGS and tag >> 16 != 0x0028


def _change(data: Dataset, element: Any, what: str, pseudonyms: Pseudonyms) -> None:
    vr = element.VR
    if what == "remove":
        del data[element.tag]
    elif what == "empty" or (what == "dummy" and vr == "SQ"):
        element.value = Sequence() if vr == "SQ" else None
    elif what == "dummy":
        element.value = pseudonyms.uid(str(element.value)) if vr == "UI" else _DUMMIES.get(vr)
    elif what == "uid" and vr == "UI":
        found = [pseudonyms.uid(text) for text in texts(element.value)]
        element.value = found[0] if len(found) == 1 else found or None
    elif what == "shift":
        element.value = _shifted(vr, element.value, pseudonyms)
    elif what == "clean":
        _clean(data, element)


def _shifted(vr: str, value: Any, pseudonyms: Pseudonyms) -> Any:
    """Times of day stay; days move; what is no day goes."""
    if vr == "TM":
        return value
    found = []
    for text in texts(value):
        parts = _DAY.fullmatch(text.strip())
        if parts is None:
            return None
        with suppress(ValueError, OverflowError):
            day = pseudonyms.day(date(int(parts[1]), int(parts[2]), int(parts[3])))
            found.append(f"{day:%Y%m%d}{parts[4]}")
    return found[0] if len(found) == 1 else found or None


def _clean(data: Dataset, element: Any) -> None:
    """Leaves the words that are plain vocabulary; codes and all else that is no text goes."""
    if element.VR not in _TEXT:
        del data[element.tag]
        return
    kept = [
        " ".join(word for word in _WORD.findall(text) if word.casefold() in _vocabulary())
        for text in texts(element.value)
    ]
    element.value = " ".join(filter(None, kept)) or None


def _tell(data: Dataset, options: Options) -> None:
    data.PatientIdentityRemoved = "YES"
    data.LongitudinalTemporalInformationModified = MODIFIED[options.dates]
    data.DeidentificationMethod = "PS3.15 Basic Profile"
    codes = []
    for code, meaning in options.codes:
        item = Dataset()
        item.CodeValue = code
        item.CodingSchemeDesignator = "DCM"
        item.CodeMeaning = meaning
        codes.append(item)
    data.DeidentificationMethodCodeSequence = Sequence(codes)


@cache
def _vocabulary() -> frozenset[str]:
    """Words of body parts, and of how pictures are taken."""
    words = {word for row in dicom_table("body-parts") for word in _WORD.findall(row[2])}
    return frozenset(word.casefold() for word in words | set(_TECHNICAL.split()))


_TECHNICAL: Final = """
    a acquisition after angio angiography anterior ap arterial axial bilateral body bone brain
    breath cine contrast coronal cr ct cta de delayed density diffusion dose dual dwi dx dynamic
    early echo enhanced ep exam fast fat field flair flow follow fov free frontal functional gre
    high hires hold image imaging in injection inversion iv ka kernel late lateral left
    localizer low lung mammography map mask mean medial medium minimum mip mpr mr mra mri native
    nm non noncontrast oblique of on pa perfusion pet phase plain planning portal post posterior
    pre projection prone protocol proton quantitative radiograph recon reconstruction reformat
    rest right routine sagittal saturation scan scout screening sequence series sharp slice soft
    spin standard stress structured study supine survey the thick thin thorax tissue tof
    tomography topogram trace ultrasound upright us venous view volume w weighted whole window
    with without xa xr
"""
