"""The official resources and those of Synthea, from JSON to XML and back.

What comes back is what was sent, to the digit of a number and the byte of a narrative.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fhirserver.definitions.packaged import packaged
from fhirserver.errors import Invalid
from fhirserver.model.json import Json, Resource, decode, encode
from fhirserver.xml import from_xml, to_xml

pytestmark = pytest.mark.conformance

_DEFINING = ("CodeSystem-", "SearchParameter-", "StructureDefinition-", "ValueSet-")
_LARGE = 100_000  # bytes

REFUSED = {
    "Observation-ex-pain.xml": "there is no attribute 'something' here",
    "bundle-dual-subject.xml": "'subject' can be given here only once",
    "capabilitystatement-measure-processor.xml": "'identifier' is not an element",
    "japanese-utf8-ok.xml": "not well-formed",  # it is Shift JIS, whatever its name says
    "tests-fhir-r4.xml": "'tests' is not in the namespace of FHIR",
    "xml-bad-entities.xml": "undefined entity",
    "xml-fail.xml": "text is not allowed here",
}
"""The inputs of the suites that are no FHIR, as the suites mean them to be."""


def test_the_plain_resources(definitions_package: Path) -> None:
    files = [path for path in _resources(definitions_package) if _is_plain(path)]
    assert len(files) == 848
    assert _changed((path.name, path.read_bytes()) for path in files) == []


@pytest.mark.slow
def test_the_definitions_and_large_bundles(definitions_package: Path) -> None:
    files = [path for path in _resources(definitions_package) if not _is_plain(path)]
    assert len(files) == 4458
    assert _changed((path.name, path.read_bytes()) for path in files) == []


def test_some_patients_of_synthea(shared: Path) -> None:
    assert _changed(_synthea(shared)[:6]) == []


@pytest.mark.slow
def test_all_patients_of_synthea(shared: Path) -> None:
    files = _synthea(shared)
    assert len(files) == 60
    assert _changed(files) == []


def test_the_documents_of_the_suites(shared: Path) -> None:
    refused = {}
    suites = shared / "suites"
    files = [*(suites / "fhirpath").glob("*.xml"), *(suites / "validator/files").glob("*.xml")]
    assert len(files) == 36
    for path in files:
        try:
            resource = from_xml(path.read_bytes(), packaged())
        except Invalid as error:
            refused[path.name] = error.text
            continue
        again = from_xml(to_xml(resource, packaged()), packaged())
        assert encode(again) == encode(_ordered(resource, again)), path.name
    assert refused.keys() == REFUSED.keys()
    assert all(REFUSED[name] in text for name, text in refused.items())


@pytest.mark.parametrize("name", ["patient-example", "questionnaire-example"])
def test_the_two_forms_of_an_example_are_one(shared: Path, name: str) -> None:
    path = shared / "suites/fhirpath" / name
    in_json = decode(path.with_suffix(".json").read_bytes())
    in_xml = from_xml(path.with_suffix(".xml").read_bytes(), packaged())
    assert encode(_ordered(in_json, in_xml)) == encode(in_xml)


def _changed(files: Iterable[tuple[str, bytes]]) -> list[str]:
    """The names of those that do not come back as they were."""
    changed = []
    for name, data in files:
        resource = decode(data)
        document = to_xml(resource, packaged())
        root = ElementTree.fromstring(document)
        assert root.tag == f"{{http://hl7.org/fhir}}{resource['resourceType']}"
        again = from_xml(document, packaged())
        if encode(_ordered(resource, again)) != encode(again):
            changed.append(name)
    return changed


def _ordered(value: Json, like: Json) -> Json:
    """The value with its properties in the order that they have in another."""
    if isinstance(value, dict) and isinstance(like, dict):
        names = [*(name for name in like if name in value), *(value.keys() - like.keys())]
        return {name: _ordered(value[name], like.get(name)) for name in names}
    if isinstance(value, list) and isinstance(like, list) and len(value) == len(like):
        return [_ordered(one, other) for one, other in zip(value, like, strict=True)]
    return value


def _resources(package: Path) -> list[Path]:
    return [path for path in sorted(package.glob("*.json")) if path.name != "package.json"]


def _is_plain(path: Path) -> bool:
    return not path.name.startswith(_DEFINING) and path.stat().st_size < _LARGE


def _synthea(shared: Path) -> list[tuple[str, bytes]]:
    paths = sorted(
        (shared / "data/synthea").glob("*.json.gz"), key=lambda path: path.stat().st_size
    )
    return [(path.name, gzip.decompress(path.read_bytes())) for path in paths]


def test_order_is_all_that_may_differ() -> None:
    one: Resource = {"a": [{"b": 1, "c": 2}], "d": 1}
    other: Resource = {"d": 1, "a": [{"c": 2, "b": 1}]}
    assert list(_ordered(one, other)) == ["d", "a"]
    assert encode(_ordered(one, other)) == encode(other)
    assert encode(_ordered(one, {"d": 1})) != encode({"d": 1})
