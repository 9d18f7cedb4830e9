from fhirserver.validation import validate

PATIENT = {"resourceType": "Patient"}


def test_a_profile_that_is_not_checked_is_never_passed_over_in_silence() -> None:
    issues = validate(PATIENT, ["http://example.org/profile"])
    assert [(issue.severity, issue.code, issue.expression) for issue in issues] == [
        ("warning", "not-supported", "Patient")
    ]
    assert "http://example.org/profile" in issues[0].text


def test_the_type_itself_is_a_profile_that_is_checked() -> None:
    assert validate(PATIENT, ["http://hl7.org/fhir/StructureDefinition/Patient|4.0.1"]) == []


def test_a_profile_beside_errors() -> None:
    issues = validate({"resourceType": "Patient", "active": 1}, ["http://example.org/profile"])
    assert [issue.severity for issue in issues] == ["error", "warning"]
