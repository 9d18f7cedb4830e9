from fhirserver.definitions.compartment import compartment


def test_types_without_parameters_are_no_members() -> None:
    found = compartment(
        {
            "code": "Patient",
            "url": "http://c",
            "resource": [{"code": "Account", "param": ["subject"]}, {"code": "ActivityDefinition"}],
        }
    )
    assert dict(found.members) == {"Account": ("subject",)}
