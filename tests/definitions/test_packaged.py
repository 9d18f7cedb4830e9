"""The packaged definitions are those of the official R4 package, whole and unchanged."""

import hashlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fhirserver.definitions.packaged import folder, packaged
from fhirserver.model.json import decode

FOLDERS = (
    "profiles/r4-core",
    "terminology/r4-core",
    "capability",
    "capability/own",
    "profiles/own",
)
ROOT = Path(__file__).resolve().parents[2]


def files() -> Iterator[tuple[Path, dict[str, str | int]]]:
    for name in FOLDERS:
        source = tomllib.loads((folder() / name / "SOURCE.toml").read_text())
        for row in source["file"]:
            yield folder() / name / row["name"], row


@pytest.mark.parametrize(("path", "row"), list(files()), ids=lambda item: getattr(item, "name", ""))
def test_each_file_is_as_its_source_says(path: Path, row: dict[str, str | int]) -> None:
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == row["sha256"]
    assert data.count(b"\n") == row["definitions"]


def test_every_file_is_listed() -> None:
    listed = {path for path, _ in files()}
    assert {path for name in FOLDERS for path in (folder() / name).glob("*.ndjson")} == listed


def test_counts_are_those_of_the_standard() -> None:
    registry = packaged()
    kinds = [header.kind for header in registry.types.values()]
    assert len(registry.resource_types) == 146
    assert kinds.count("resource") == 148  # Resource and DomainResource are abstract
    assert kinds.count("primitive-type") == 20
    assert kinds.count("complex-type") == 41
    assert len(registry.shelf("StructureDefinition")) == 655 - 2 + 8  # two are examples; ours
    assert len(registry.shelf("SearchParameter")) == 1400 - 3  # three are examples
    assert sorted(registry.compartments) == [
        "Device",
        "Encounter",
        "Patient",
        "Practitioner",
        "RelatedPerson",
    ]
    assert len(registry.operations()) == 47 - 1 + 5  # one is an example, five are our own


def test_resource_types_are_those_of_the_standards_own_list() -> None:
    listed = packaged().code_system("http://hl7.org/fhir/resource-types")
    assert listed is not None
    assert packaged().resource_types == set(listed.concepts) - {"Resource", "DomainResource"}


def test_data_stays_small() -> None:
    assert sum(path.stat().st_size for path, _ in files()) < 5_000_000


def test_every_structure_can_be_read() -> None:
    registry = packaged()
    for url in registry.shelf("StructureDefinition"):
        structure = registry.structure(url)
        assert structure is not None
        assert structure.url == url
        assert structure.is_snapshot is not url.startswith("urn:fhirserver:")


def test_every_type_an_element_has_is_defined() -> None:
    registry = packaged()
    for name, header in registry.types.items():
        if header.kind == "logical":
            continue
        for child in registry.children(name).values():
            assert child.type in registry.types, (name, child)


def test_every_value_set_and_code_system_can_be_read() -> None:
    registry = packaged()
    assert all(registry.value_set(url) for url in registry.shelf("ValueSet"))
    assert all(registry.code_system(url) for url in registry.shelf("CodeSystem"))


@pytest.mark.slow
def test_the_build_command_gives_the_same_bytes(
    definitions_package: Path, expansions_package: Path, tmp_path: Path
) -> None:
    subprocess.run(
        [
            sys.executable,
            str(ROOT / "tools/build_definitions.py"),
            str(definitions_package),
            str(expansions_package),
            "--target",
            str(tmp_path),
        ],
        check=True,
    )
    made = {str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("SOURCE.toml")}
    assert made == {"profiles/r4-core", "terminology/r4-core", "capability"}
    for name in made:
        built = {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        assert built == {file: (folder() / name / file).read_bytes() for file in built}


@pytest.mark.slow
def test_nothing_of_the_package_was_left_out(definitions_package: Path) -> None:
    registry = packaged()
    for type_, left_out in LEFT_OUT.items():
        urls = {
            str(decode(path.read_bytes())["url"])
            for path in definitions_package.glob(f"{type_}-*.json")
        }
        assert urls - set(registry.shelf(type_)) == left_out


LEFT_OUT = {
    "StructureDefinition": {
        "http://hl7.org/fhir/StructureDefinition/example-composition",
        "http://hl7.org/fhir/StructureDefinition/example-section-library",
    },
    "SearchParameter": {
        "http://hl7.org/fhir/SearchParameter/example",
        "http://hl7.org/fhir/SearchParameter/example-extension",
        "http://hl7.org/fhir/SearchParameter/example-reference",
    },
    "OperationDefinition": {"http://h7.org/fhir/OperationDefinition/example"},
    "CompartmentDefinition": {"http://hl7.org/fhir/CompartmentDefinition/example"},
    "CodeSystem": {"http://dicom.nema.org/resources/ontology/DCM"},
    "ValueSet": {
        "http://hl7.org/fhir/ValueSet/animal-breeds",
        "http://hl7.org/fhir/ValueSet/c80-doc-typecodes",
    },
}
