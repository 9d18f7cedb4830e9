"""Data sets in the Native DICOM Model (PS3.19, A.1), made from DICOM JSON."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from fhirserver.imaging.dicomweb.attributes import keyword
from fhirserver.xml.escape import content
from fhirserver.xml.escape import value as quoted

_NAMESPACE: Final = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS: Final = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
# What XML 1.0 cannot say at all (2.2); DICOM text has ESC and form feed.
_UNSAYABLE: Final = {code: None for code in range(32) if code not in (9, 10, 13)}


def native_xml(dataset: bytes) -> bytes:
    """The XML document of a DICOM JSON object."""
    out = [
        '<?xml version="1.0" encoding="UTF-8"?>\n',
        f'<NativeDicomModel xmlns="{_NAMESPACE}" xml:space="preserve">',
    ]
    _attributes(msgspec.json.decode(dataset), out)
    out.append("</NativeDicomModel>\n")
    return "".join(out).encode()


def _attributes(dataset: dict[str, Any], out: list[str]) -> None:
    for tag, attribute in dataset.items():
        vr = attribute["vr"]
        name = keyword(tag)
        named = f' keyword="{quoted(name)}"' if name else ""
        out.append(f'<DicomAttribute tag="{tag}" vr="{vr}"{named}>')
        if address := attribute.get("BulkDataURI"):
            out.append(f'<BulkData uri="{quoted(address)}"/>')
        elif "InlineBinary" in attribute:
            out.append(f"<InlineBinary>{attribute['InlineBinary']}</InlineBinary>")
        for number, value in enumerate(attribute.get("Value", ()), 1):
            _value(vr, number, value, out)
        out.append("</DicomAttribute>")


def _value(vr: str, number: int, value: Any, out: list[str]) -> None:
    if vr == "SQ":
        out.append(f'<Item number="{number}">')
        _attributes(value or {}, out)
        out.append("</Item>")
    elif vr == "PN":
        out.append(f'<PersonName number="{number}">')
        _name(value or {}, out)
        out.append("</PersonName>")
    elif value is not None:
        out.append(f'<Value number="{number}">{_text(value)}</Value>')
    else:
        out.append(f'<Value number="{number}"/>')


def _name(name: dict[str, str], out: list[str]) -> None:
    for group in _GROUPS:
        if group not in name:
            continue
        out.append(f"<{group}>")
        for component, value in zip(_COMPONENTS, name[group].split("^"), strict=False):
            if value:
                out.append(f"<{component}>{_text(value)}</{component}>")
        out.append(f"</{group}>")


def _text(value: Any) -> str:
    return content(str(value).translate(_UNSAYABLE))
