"""Elements of DICOM JSON (PS3.18 F.2), made from what FHIR has: cut to what a VR may hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from fhirserver.definitions.packaged import dicom_table
from fhirserver.model.json import Resource

Element: TypeAlias = dict[str, Any]
DataSet: TypeAlias = dict[str, Element]

_MOST: Final = {"AE": 16, "CS": 16, "SH": 16, "LO": 64, "PN": 64, "ST": 1024, "LT": 10240}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\\]")
_REPRESENTATION: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_GROUPS: Final = {"ABC": "Alphabetic", "IDE": "Ideographic", "SYL": "Phonetic"}
_ISSUER: Final = "urn:dicom:issuer:"
_SCHEME: Final = "urn:dicom:coding-scheme:"


def element(vr: str, *values: Any) -> Element:
    """An element with those of the values that are not empty."""
    found = [text for value in values if (text := _fitting(vr, value)) not in ("", None)]
    return {"vr": vr, "Value": found} if found else {"vr": vr}


def sequence(*items: DataSet) -> Element:
    """A sequence of those of the items that are not empty."""
    return {"vr": "SQ", "Value": [item for item in items if item]} if any(items) else {"vr": "SQ"}


def fits(vr: str, value: str) -> bool:
    """Whether a value can stand in an element as it is."""
    return 0 < len(value) <= _MOST[vr] and not _CONTROL.search(value)


def person_name(names: Iterable[Resource]) -> Element:
    """HumanNames as a person's name: the first of each representation (PS3.5 6.2.1)."""
    groups: dict[str, str] = {}
    for name in names:
        group = _GROUPS.get(_representation(name), "Alphabetic")
        if (text := _name(name)) and group not in groups:
            groups[group] = text
    return {"vr": "PN", "Value": [groups]} if groups else {"vr": "PN"}


def coded(concept: Resource) -> Element:
    """The codings of a CodeableConcept as a code sequence (PS3.3 8.8); those without a system
    that has a designator, or with a code that does not fit, are left out."""
    items = []
    for coding in concept.get("coding", ()):
        designator = _designator(coding.get("system", ""))
        code = coding.get("code", "")
        if not designator or not fits("SH", code):
            continue
        meaning = coding.get("display") or concept.get("text") or code
        item = {"00080100": element("SH", code), "00080102": element("SH", designator)}
        if coding.get("version"):
            item["00080103"] = element("SH", coding["version"])
        items.append(item | {"00080104": element("LO", meaning)})
    return sequence(*items)


def shown(concept: Resource) -> str:
    """A CodeableConcept in words."""
    codings = concept.get("coding", ())
    told = (coding.get("display") or "" for coding in codings)
    return (
        concept.get("text")
        or next(filter(None, told), "")
        or next((coding.get("code", "") for coding in codings), "")
    )


def issuer_of(system: str) -> str:
    """The issuer by the system of an identifier, as IssuerOfPatientID has it."""
    if system.startswith(_ISSUER):
        return unquote(system.removeprefix(_ISSUER))
    return system


def qualifiers(system: str) -> DataSet:
    """The issuer as a universal id, for one that is an OID, a UUID or another URI."""
    if system.startswith("urn:oid:"):
        value, kind = system.removeprefix("urn:oid:"), "ISO"
    elif system.startswith("urn:uuid:"):
        value, kind = system.removeprefix("urn:uuid:"), "UUID"
    elif system and not system.startswith(_ISSUER):
        value, kind = system, "URI"
    else:
        return {}
    return {"00400032": {"vr": "UT", "Value": [value]}, "00400033": element("CS", kind)}


def _fitting(vr: str, value: Any) -> Any:
    if not isinstance(value, str) or vr not in _MOST:
        return value
    return _CONTROL.sub(" ", value).strip()[: _MOST[vr]].strip()


def _representation(name: Mapping[str, Any]) -> str:
    extensions = name.get("extension", ())
    found = (item.get("valueCode", "") for item in extensions if item.get("url") == _REPRESENTATION)
    return next(found, "ABC")


def _name(name: Resource) -> str:
    given = [part for part in name.get("given", ()) if part]
    parts = [
        name.get("family") or "",
        given[0] if given else "",
        " ".join(given[1:]),
        " ".join(filter(None, name.get("prefix", ()))),
        " ".join(filter(None, name.get("suffix", ()))),
    ]
    plain = [re.sub(r"[\^=\\\x00-\x1f\x7f]", " ", part).strip() for part in parts]
    if not any(plain) and name.get("text"):
        plain = [re.sub(r"[\^=\\\x00-\x1f\x7f]", " ", name["text"]).strip()]
    return "^".join(plain).rstrip("^")[:64].rstrip("^ ")


def _designator(system: str) -> str:
    if system.startswith(_SCHEME):
        return unquote(system.removeprefix(_SCHEME))[:16]
    return _designators().get(system, "")


@cache
def _designators() -> dict[str, str]:
    return {row[1]: row[0] for row in dicom_table("coding-schemes")}
