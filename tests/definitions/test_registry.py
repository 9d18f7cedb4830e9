import pytest

from fhirserver.definitions import Definitions, packaged
from fhirserver.model.json import Resource

R4 = packaged()


def test_children_of_a_resource_include_inherited_ones() -> None:
    children = R4.children("Patient")
    assert {"id", "meta", "text", "contained", "extension", "contact"} <= set(children)
    assert (children["id"].type, children["id"].path) == ("id", "id")
    assert (children["name"].type, children["name"].path) == ("HumanName", "HumanName")
    assert (children["contact"].type, children["contact"].path) == (
        "BackboneElement",
        "Patient.contact",
    )


def test_a_choice_is_given_as_its_properties() -> None:
    children = R4.children("Observation")
    assert "value" not in children
    assert children["valueQuantity"].type == "Quantity"
    assert children["valueQuantity"].element.name == "value"
    assert R4.choices("Observation")["effective"] == (
        "effectiveDateTime",
        "effectivePeriod",
        "effectiveTiming",
        "effectiveInstant",
    )


def test_an_extension_may_have_any_of_50_types() -> None:
    assert len(R4.choices("Extension")["value"]) == 50


def test_children_of_a_backbone_element_and_of_a_content_reference() -> None:
    assert "relationship" in R4.children("Patient.contact")
    nested = R4.children("Questionnaire.item")["item"]
    assert (nested.type, nested.path) == ("BackboneElement", "Questionnaire.item")
    component = R4.children("Observation.component")["referenceRange"]
    assert component.path == "Observation.referenceRange"


def test_children_within_a_data_type() -> None:
    repeat = R4.children("Timing")["repeat"]
    assert (repeat.type, repeat.path) == ("Element", "Timing.repeat")
    assert "boundsDuration" in R4.children("Timing.repeat")


@pytest.mark.parametrize("path", ["string", "Nothing", "Patient.nothing", "Patient.name"])
def test_no_children(path: str) -> None:
    assert dict(R4.children(path)) == {}


@pytest.mark.parametrize(
    ("type", "of"),
    [
        ("Patient", "Patient"),
        ("Patient", "DomainResource"),
        ("Patient", "Resource"),
        ("Bundle", "Resource"),
        ("Age", "Quantity"),
        ("Age", "Element"),
        ("code", "string"),
        ("positiveInt", "integer"),
        ("canonical", "uri"),
        ("Timing", "BackboneElement"),
    ],
)
def test_subtypes(type: str, of: str) -> None:
    assert R4.is_subtype(type, of)


@pytest.mark.parametrize(
    ("type", "of"),
    [("Bundle", "DomainResource"), ("string", "code"), ("Patient", "Element"), ("Nothing", "x")],
)
def test_no_subtypes(type: str, of: str) -> None:
    assert not R4.is_subtype(type, of)


def test_a_structure_is_found_by_name_url_and_versioned_url() -> None:
    url = "http://hl7.org/fhir/StructureDefinition/Patient"
    assert R4.structure("Patient") is R4.structure(url) is R4.structure(f"{url}|4.0.1")
    assert R4.structure("Nothing") is None


def test_a_profile_is_found_by_url_only() -> None:
    found = R4.structure("http://hl7.org/fhir/StructureDefinition/bmi")
    assert found is not None
    assert found.is_profile
    assert found.type == "Observation"
    assert found.base == "http://hl7.org/fhir/StructureDefinition/vitalsigns"
    assert R4.structure("bmi") is None


def test_invariants_of_a_type_include_inherited_ones_once() -> None:
    assert [item.key for item in R4.constraints("Age")] == ["ele-1", "qty-3", "age-1"]
    keys = [item.key for item in R4.constraints("Patient")]
    assert sorted(keys) == ["dom-2", "dom-3", "dom-4", "dom-5", "dom-6"]
    patient = R4.structure("Patient")
    assert patient is not None
    assert [item.key for item in patient.elements["Patient.contact"].constraints] == ["pat-1"]


def test_search_parameters_of_a_type_include_those_of_every_resource() -> None:
    found = R4.search_parameters("Patient")
    assert {"_id", "_lastUpdated", "_tag", "_profile", "_security", "_source"} <= set(found)
    assert {"birthdate", "identifier", "name", "_text"} <= set(found)
    assert "_text" not in R4.search_parameters("Bundle")  # of DomainResource only
    assert R4.search_parameters("Nothing") == {}


def test_one_search_parameter_serves_several_types() -> None:
    code = R4.search_parameters("Condition")["code"]
    assert code.url == "http://hl7.org/fhir/SearchParameter/clinical-code"
    assert R4.search_parameters("Observation")["code"] is code
    assert R4.search_parameter(code.url) is code


def test_every_search_parameter_has_a_meaning_except_those_the_standard_left_without() -> None:
    missing = {
        parameter.url.rpartition("/")[2]
        for type_ in R4.resource_types
        for parameter in R4.search_parameters(type_).values()
        if parameter.expression is None and parameter.type != "special"
    }
    assert missing == {
        "patient-extensions-Patient-age",
        "patient-extensions-Patient-birthOrderBoolean",
    }


def test_no_two_search_parameters_of_a_type_share_a_code() -> None:
    seen: dict[tuple[str, str], str] = {}
    for url in R4.shelf("SearchParameter"):
        parameter = R4.search_parameter(url)
        assert parameter is not None
        for base in parameter.base:
            assert (base, parameter.code) not in seen
            seen[base, parameter.code] = url


def test_components_of_composites_are_search_parameters() -> None:
    for type_ in R4.resource_types:
        for parameter in R4.search_parameters(type_).values():
            assert bool(parameter.components) == (parameter.type == "composite")
            assert all(R4.search_parameter(item.definition) for item in parameter.components)


def test_compartment_members() -> None:
    patient = R4.compartment("Patient")
    assert patient is not None
    assert patient.members["Observation"] == ("subject", "performer")
    assert "ActivityDefinition" not in patient.members
    assert R4.compartment("Nothing") is None


def test_compartment_parameters_exist() -> None:
    for compartment in R4.compartments.values():
        for type_, codes in compartment.members.items():
            unknown = set(codes) - set(R4.search_parameters(type_)) - {"{def}"}
            assert not unknown, (compartment.code, type_)


def test_operation_by_url_and_by_code() -> None:
    everything = R4.operation("everything", "Patient")
    assert everything is not None
    assert everything.url == "http://hl7.org/fhir/OperationDefinition/Patient-everything"
    assert R4.operation(everything.url) is everything
    assert R4.operation("everything", "Observation") is None
    validate = R4.operation("validate", "Observation")  # stated for Resource
    assert validate is not None
    assert R4.operation("validate") is validate


def test_code_system_whose_url_has_a_version_in_it() -> None:
    found = R4.code_system("http://terminology.hl7.org/CodeSystem/v2-0006|2.1")
    assert found is not None
    assert found.url.endswith("|2.1")


def test_a_registry_of_anyones_definitions(tmp_profile: Resource) -> None:
    registry = Definitions.of([tmp_profile])
    found = registry.structure(tmp_profile["url"])
    assert found is not None
    assert not found.is_snapshot
    assert found.elements["Patient.name"].min == 1
    assert registry.resource_types == frozenset()


@pytest.fixture
def tmp_profile() -> Resource:
    return {
        "resourceType": "StructureDefinition",
        "url": "http://example.org/fhir/StructureDefinition/named-patient",
        "name": "NamedPatient",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Patient",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "differential": {"element": [{"id": "Patient.name", "path": "Patient.name", "min": 1}]},
    }
