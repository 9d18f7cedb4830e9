"""The FHIRPath Patch suite of HL7's test cases.

https://hl7.org/fhir/R4/fhirpatch.html. Its resources are XML.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import FhirError
from fhirserver.interactions.fhirpath_patch import FhirPathPatch
from fhirserver.interactions.patch_value import without_empty
from fhirserver.interactions.same import same
from fhirserver.model.json import Resource
from fhirserver.xml import from_xml

pytestmark = pytest.mark.conformance

_SUITE = Path(__file__).resolve().parents[2] / "../shared/suites/patch/fhir-patch-tests.xml"

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
    return from_xml(ElementTree.tostring(element), packaged())
