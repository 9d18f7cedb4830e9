"""LOINC, from a licensee's release: `Loinc.csv`, with its hierarchy and linguistic variants.

https://loinc.org/fhir. Properties have LOINC's own names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fhirserver.terminology.concept import Concept
from fhirserver.vocabulary.table import Files
from fhirserver.vocabulary.vocabulary import Vocabulary, code_system

_PARTS = ("COMPONENT", "PROPERTY", "TIME_ASPCT", "SYSTEM", "SCALE_TYP", "METHOD_TYP", "CLASS")
_COLUMNS = ("LOINC_NUM", "LONG_COMMON_NAME", "SHORTNAME", "STATUS", "DisplayName", *_PARTS)
_MORE = ("CLASSTYPE", "ORDER_OBS", "EXAMPLE_UCUM_UNITS")
_STATUS = {"ACTIVE": "active", "TRIAL": "draft", "DISCOURAGED": "active", "DEPRECATED": "retired"}


def loinc(path: Path, version: str) -> Vocabulary:
    """The release in a folder or .zip. Raises `NotReadable`."""
    files = Files(path)
    table = files.one("Loinc.csv")
    properties = [(name, "string", f"LOINC {name}") for name in (*_PARTS, *_MORE, "STATUS")]
    system = code_system(
        "LOINC",
        "http://loinc.org",
        version,
        "LOINC: Logical Observation Identifiers, Names and Codes",
        [*properties, ("status", "code", "active, draft or retired")],
        publisher="Regenstrief Institute",
        language="en",
        caseSensitive=False,
        copyright="This material contains content from LOINC (http://loinc.org), copyright "
        "Regenstrief Institute, used under the licence of whoever imported it.",
    )
    return Vocabulary(system, _concepts(files, table))


def _concepts(files: Files, table: str) -> Iterator[Concept]:
    parents = _hierarchy(files)
    variants = _variants(files)
    answers = dict(_answer_codes(files))
    seen = set()
    for row in files.rows(table, *_COLUMNS, *_MORE):
        told = dict(zip((*_COLUMNS, *_MORE), row, strict=True))
        code = told["LOINC_NUM"]
        seen.add(code)
        names = [told["SHORTNAME"], told["DisplayName"]]
        designations = [{"language": "en", "value": name} for name in names if name]
        data: dict[str, Any] = {
            "code": code,
            "property": [
                {"code": name, "valueString": told[name]}
                for name in (*_PARTS, *_MORE, "STATUS")
                if told[name]
            ],
        }
        status = _STATUS.get(told["STATUS"], "active")
        data["property"].append({"code": "status", "valueCode": status})
        if designations or code in variants:
            data["designation"] = designations + variants.get(code, [])
        yield Concept(code, told["LONG_COMMON_NAME"], tuple(parents.get(code, ())), data)
    for code, name in answers.items():
        if code not in seen:
            yield Concept(code, name, tuple(parents.get(code, ())), {"code": code})


def _hierarchy(files: Files) -> dict[str, list[str]]:
    """The parents of codes and parts, where the release has the component hierarchy."""
    parents: dict[str, list[str]] = {}
    for name in files.find("ComponentHierarchyBySystem.csv"):
        for parent, code in files.rows(name, "IMMEDIATE_PARENT", "CODE"):
            if parent and parent not in parents.setdefault(code, []):
                parents[code].append(parent)
    return parents


def _answer_codes(files: Files) -> Iterator[tuple[str, str]]:
    """Answers and parts, which are codes of LOINC as well."""
    for name in files.find("AnswerList.csv"):
        for code, text in files.rows(name, "AnswerStringId", "DisplayText"):
            if code:
                yield code, text
    for name in files.find("ComponentHierarchyBySystem.csv"):
        yield from ((code, text) for code, text in files.rows(name, "CODE", "CODE_TEXT") if code)


def _variants(files: Files) -> dict[str, list[dict[str, Any]]]:
    """Names in other languages: files such as `deDE15LinguisticVariant.csv`."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name in files.find("*LinguisticVariant.csv"):
        tag = name.rpartition("/")[2]
        language = f"{tag[:2]}-{tag[2:4]}"
        for code, text in files.rows(name, "LOINC_NUM", "LONG_COMMON_NAME"):
            if text:
                found.setdefault(code, []).append({"language": language, "value": text})
    return found
