from fhirserver.definitions import packaged


def test_a_primitive_has_its_regular_expression() -> None:
    found = packaged().structure("id")
    assert found is not None
    assert (found.kind, found.base, found.regex) == (
        "primitive-type",
        "string",
        r"[A-Za-z0-9\-\.]{1,64}",
    )


def test_a_resource_type_and_its_root() -> None:
    found = packaged().structure("Observation")
    assert found is not None
    assert (found.kind, found.type, found.base) == ("resource", "Observation", "DomainResource")
    assert not found.is_profile
    assert found.root.path == "Observation"
    status = found.elements["Observation.status"]
    assert status.binding is not None
    assert status.binding.strength == "required"


def test_the_root_of_all_has_no_base() -> None:
    found = packaged().structure("Resource")
    assert found is not None
    assert found.abstract
    assert found.base is None


def test_a_profile_keeps_the_elements_of_its_slices_apart() -> None:
    found = packaged().structure("http://hl7.org/fhir/StructureDefinition/bp")
    assert found is not None
    systolic = found.elements["Observation.component:SystolicBP"]
    assert (systolic.path, systolic.slice_name) == ("Observation.component", "SystolicBP")
    assert found.elements["Observation.component"].slicing is not None


def test_an_extension_says_where_it_may_stand() -> None:
    found = packaged().structure("http://hl7.org/fhir/StructureDefinition/patient-birthTime")
    assert found is not None
    assert [(item.type, item.expression) for item in found.contexts] == [
        ("element", "Patient.birthDate")
    ]
