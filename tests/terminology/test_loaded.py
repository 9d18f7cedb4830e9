from collections.abc import Iterator
from pathlib import Path

import pytest

from fhirserver.definitions import Definitions, packaged
from fhirserver.model.json import Resource, decode
from fhirserver.terminology import Terminology

R4 = Terminology(packaged())
FHIR = "http://hl7.org/fhir/ValueSet"
GENDER = "http://hl7.org/fhir/administrative-gender"
SYSTEM = {
    "resourceType": "CodeSystem",
    "url": "http://c",
    "content": "complete",
    "concept": [
        {
            "code": "group",
            "property": [{"code": "notSelectable", "valueBoolean": True}],
            "concept": [{"code": "a", "display": "A"}, {"code": "b"}],
        },
        {"code": "z"},
    ],
}


def terminology(**composes: Resource) -> Terminology:
    sets = [
        {"resourceType": "ValueSet", "url": f"http://{name}", "compose": compose}
        for name, compose in composes.items()
    ]
    return Terminology(Definitions.of([SYSTEM, *sets]))


def codes(terminology: Terminology, value_set: str) -> str | None:
    found = terminology.expand(value_set)
    return None if found is None else "".join(coding.code for coding in found)


ALL = {"system": "http://c"}
LISTED = {"system": "http://c", "concept": [{"code": "a"}, {"code": "z"}]}
BELOW = {
    "system": "http://c",
    "filter": [{"property": "concept", "op": "is-a", "value": "group"}],
}
UNKNOWN = {"system": "http://snomed.info/sct"}
UNKNOWN_LISTED = {"system": "http://snomed.info/sct", "concept": [{"code": "s"}]}


def test_a_whole_system_without_the_concepts_that_only_group() -> None:
    assert codes(terminology(v={"include": [ALL]}), "http://v") == "abz"


def test_listed_codes_take_their_display_from_the_system() -> None:
    found = terminology(v={"include": [LISTED]}).expand("http://v")
    assert found is not None
    assert [(coding.code, coding.display) for coding in found] == [("a", "A"), ("z", None)]


def test_a_filter() -> None:
    assert codes(terminology(v={"include": [BELOW]}), "http://v") == "ab"


def test_includes_are_joined_and_each_code_is_once() -> None:
    assert codes(terminology(v={"include": [BELOW, LISTED]}), "http://v") == "abz"


def test_an_exclude_takes_away() -> None:
    assert codes(terminology(v={"include": [ALL], "exclude": [LISTED]}), "http://v") == "b"


def test_an_imported_value_set_narrows_a_system_and_stands_alone_without_one() -> None:
    both = terminology(
        w={"include": [LISTED]},
        v={"include": [BELOW | {"valueSet": ["http://w"]}]},
        x={"include": [{"valueSet": ["http://w"]}]},
    )
    assert codes(both, "http://v") == "a"
    assert codes(both, "http://x") == "az"


def test_codes_of_an_unknown_system_can_be_listed() -> None:
    found = terminology(v={"include": [UNKNOWN_LISTED, LISTED]})
    assert codes(found, "http://v") == "saz"
    assert found.contains("http://v", "http://snomed.info/sct", "s") is True


def test_what_needs_an_unknown_system_is_unknown() -> None:
    found = terminology(v={"include": [UNKNOWN, LISTED]})
    assert found.expand("http://v") is None
    assert found.contains("http://v", "http://c", "a") is True
    assert found.contains("http://v", "http://c", "b") is False
    assert found.contains("http://v", "http://snomed.info/sct", "s") is None
    assert found.contains("http://v", None, "b") is None


def test_an_exclusion_that_is_unknown_leaves_the_answer_open() -> None:
    found = terminology(v={"include": [LISTED, UNKNOWN_LISTED], "exclude": [UNKNOWN]})
    assert found.contains("http://v", "http://c", "a") is True
    assert found.contains("http://v", "http://snomed.info/sct", "s") is None
    assert found.contains("http://v", "http://snomed.info/sct", "t") is False


def test_value_sets_that_import_each_other_are_unknown_not_endless() -> None:
    found = terminology(
        v={"include": [{"valueSet": ["http://w"]}]}, w={"include": [{"valueSet": ["http://v"]}]}
    )
    assert found.expand("http://v") is None
    assert found.contains("http://v", "http://c", "a") is None


def test_a_system_that_is_not_complete_says_yes_but_never_no() -> None:
    fragment = SYSTEM | {"content": "fragment"}
    value_set = {"resourceType": "ValueSet", "url": "http://v", "compose": {"include": [ALL]}}
    found = Terminology(Definitions.of([fragment, value_set]))
    assert found.contains("http://v", "http://c", "a") is True
    assert found.contains("http://v", "http://c", "x") is None
    assert found.expand("http://v") is None


def test_an_unknown_value_set_is_unknown() -> None:
    assert R4.expand("http://nothing") is None
    assert R4.contains("http://nothing", GENDER, "male") is None


@pytest.mark.parametrize(
    ("system", "code", "expected"),
    [
        (GENDER, "male", True),
        (None, "male", True),
        (GENDER, "man", False),
        ("http://x", "male", False),
    ],
)
def test_membership_in_a_set_of_the_standard(system: str | None, code: str, expected: bool) -> None:
    assert R4.contains(f"{FHIR}/administrative-gender|4.0.1", system, code) is expected


def test_below_and_above_in_a_system_of_the_standard() -> None:
    encounter = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    below = R4.subsumed(encounter, "_ActEncounterCode")
    assert below is not None
    assert {"AMB", "IMP", "ACUTE"} <= below
    above = R4.ancestors(encounter, "ACUTE")
    assert above == {"ACUTE", "IMP", "_ActEncounterCode", "_ActCareProvisionCode"}
    assert R4.subsumed(encounter, "nothing") is None
    assert R4.subsumed("http://loinc.org", "1-8") is None
    assert R4.display(encounter, "AMB") == "ambulatory"


def test_every_required_binding_can_be_answered_but_for_grammars_and_the_outer_world() -> None:
    definitions = packaged()
    open_ = {
        element.binding.value_set.partition("|")[0]
        for name in definitions.types
        for element in getattr(definitions.structure(name), "elements", {}).values()
        if element.binding
        and element.binding.strength == "required"
        and R4.expand(element.binding.value_set) is None
    }
    # Media types and units are grammars, not lists; the third is LOINC's own.
    assert open_ == {f"{FHIR}/mimetypes", f"{FHIR}/ucum-units", "http://loinc.org/vs/LL379-9"}


@pytest.mark.slow
def test_expansions_are_the_official_ones(expansions_package: Path) -> None:
    compared = 0
    for path in sorted(expansions_package.glob("ValueSet-*.json")):
        official = decode(path.read_bytes())
        ours = R4.expand(official["url"])
        if ours is None:
            continue
        theirs = set(_official(official["expansion"].get("contains", [])))
        found = {(coding.system, coding.code) for coding in ours}
        compared += 1
        assert theirs <= found, official["url"]
        if found != theirs:
            assert official["url"].removeprefix("http://") in WIDER, official["url"]
    assert compared > 480


def _official(entries: list[Resource]) -> Iterator[tuple[str, str]]:
    for entry in entries:
        if "code" in entry and not entry.get("abstract"):
            yield entry["system"], entry["code"]
        yield from _official(entry.get("contains", []))


# The official expansions leave out deprecated codes, which are members all the same, and do
# not follow the `child` properties by which v3-ActCode gives a code several parents.
WIDER = {
    "hl7.org/fhir/ValueSet/detectedissue-category",
    "hl7.org/fhir/ValueSet/diagnostic-service-sections",
    "hl7.org/fhir/ValueSet/observation-interpretation",
    "hl7.org/fhir/ValueSet/patient-contactrelationship",
    "hl7.org/fhir/ValueSet/relatedperson-relationshiptype",
    "hl7.org/fhir/ValueSet/security-labels",
    "terminology.hl7.org/ValueSet/v2-0487",
    "terminology.hl7.org/ValueSet/v2-0916",
    "terminology.hl7.org/ValueSet/v3-ActCode",
    "terminology.hl7.org/ValueSet/v3-ActPharmacySupplyType",
}
