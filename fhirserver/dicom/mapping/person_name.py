"""Person names (PN) as HumanName: each group of characters is a name of its own.

PS3.5 6.2.1: family^given^middle^prefix^suffix; groups are alphabetic, ideographic, phonetic.
https://hl7.org/fhir/R4/extension-iso21090-en-representation.html says which one a name is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhirserver.dicom.mapping.attributes import Attributes, cleaned, values
from fhirserver.model.json import Resource

_REPRESENTATION: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_GROUPS: Final = (("Alphabetic", "ABC"), ("Ideographic", "IDE"), ("Phonetic", "SYL"))


def human_names(data: Attributes, tag: str, use: str = "") -> list[Resource]:
    """The names of the first value; none where it is empty. Groups are told where there are
    several, or one that is not alphabetic."""
    found = [(code, parts) for code, parts in _groups(data, tag) if any(parts)]
    told = len(found) > 1 or any(code != "ABC" for code, _ in found)
    return [_name(parts, use, code if told else "") for code, parts in found]


def shown_name(data: Attributes, tag: str) -> str:
    """The first value as people write it, for a display: prefix, given, family, suffix."""
    for _, (family, given, middle, prefix, suffix) in _groups(data, tag):
        shown = " ".join(part for part in (prefix, given, middle, family, suffix) if part)
        if shown:
            return shown
    return ""


def alphabetic(data: Attributes, tag: str) -> tuple[str, str]:
    """Family and first given name of the alphabetic group, for comparison; folded."""
    for code, parts in _groups(data, tag):
        if code == "ABC":
            return parts[0].casefold(), next(iter(parts[1].split()), "").casefold()
    return "", ""


def _groups(data: Attributes, tag: str) -> list[tuple[str, list[str]]]:
    value = next(iter(values(data, tag)), None)
    if isinstance(value, str):  # not as the standard says, yet seen
        value = dict(zip((name for name, _ in _GROUPS), value.split("="), strict=False))
    if not isinstance(value, Mapping):
        return []
    return [(code, _parts(value.get(name))) for name, code in _GROUPS if value.get(name)]


def _parts(value: Any) -> list[str]:
    given = value.split("^") if isinstance(value, str) else []
    return [cleaned(part) for part in [*given, "", "", "", "", ""][:5]]


def _name(parts: list[str], use: str, representation: str) -> Resource:
    family, given, middle, prefix, suffix = parts
    name: Resource = {}
    if representation:
        name["extension"] = [{"url": _REPRESENTATION, "valueCode": representation}]
    if use:
        name["use"] = use
    if family:
        name["family"] = family
    if given or middle:
        name["given"] = f"{given} {middle}".split()
    if prefix:
        name["prefix"] = [prefix]
    if suffix:
        name["suffix"] = [suffix]
    return name
