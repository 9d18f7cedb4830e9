"""The FHIRPath Patch suite of HL7's test cases.

https://hl7.org/fhir/R4/fhirpatch.html. Its resources are XML; they are read as JSON here.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import FhirError
from fhirserver.interactions.fhirpath_patch import FhirPathPatch
from fhirserver.interactions.patch_value import without_empty
from fhirserver.interactions.same import same
from fhirserver.model.json import Json, Resource

pytestmark = pytest.mark.conformance

_SUITE = Path(__file__).resolve().parents[2] / "../shared/suites/patch/fhir-patch-tests.xml"
_FHIR = "{http://hl7.org/fhir}"
_XHTML = "{http://www.w3.org/1999/xhtml}"

LEDGER: dict[str, str] = {}
"""Cases that do not pass, each with the reason. All others must."""


def _cases() -> list[ElementTree.Element]:
    if not _SUITE.exists():
        return []
    return ElementTree.parse(_SUITE).getroot().findall("case")


def test_the_suite_is_whole(shared: Path) -> None:
    assert len(_cases()) == 33


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case.get("name"))
def test_case(case: ElementTree.Element) -> None:
    try:
        passes = _passes(case)
    except FhirError:
        passes = False
    assert passes is (case.get("name") not in LEDGER)


def _passes(case: ElementTree.Element) -> bool:
    before, patch = _resource(case.find("input")), _resource(case.find("diff"))
    expected = case.find("output")
    if expected is None:
        with pytest.raises(FhirError):
            FhirPathPatch(patch, packaged()).apply(before)
        return True
    after = without_empty(FhirPathPatch(patch, packaged()).apply(before))
    return same(_comparable(after), _comparable(_resource(expected)))


def _comparable(resource: Resource) -> Resource:
    """The resource with its narrative written in one way."""
    if "text" not in resource:
        return resource
    div = ElementTree.canonicalize(resource["text"]["div"], strip_text=True, rewrite_prefixes=True)
    return {**resource, "text": {**resource["text"], "div": div}}


def _resource(holder: ElementTree.Element | None) -> Resource:
    assert holder is not None
    (element,) = holder
    type = element.tag.removeprefix(_FHIR)
    return {"resourceType": type, **_object(element, type)}


def _object(element: ElementTree.Element, path: str) -> Resource:
    out: Resource = {}
    if "url" in element.attrib:
        out["url"] = element.get("url")
    for child in element:
        if child.tag.startswith(_XHTML):
            out["div"] = ElementTree.tostring(child, encoding="unicode")
            continue
        name = child.tag.removeprefix(_FHIR)
        known = packaged().children(path)[name]
        text = child.get("value")
        value = _object(child, known.path) if text is None else _primitive(text, known.type)
        if known.element.max == 1:
            out[name] = value
        else:
            out.setdefault(name, []).append(value)
        if text is not None and len(child):
            assert known.element.max == 1
            out[f"_{name}"] = _object(child, "Element")
    return out


def _primitive(text: str, type: str) -> Json:
    match type:
        case "boolean":
            return text == "true"
        case "integer" | "positiveInt" | "unsignedInt":
            return int(text)
        case "decimal":
            return Decimal(text)
    return text
