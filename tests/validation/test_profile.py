"""Profiles: what they ask beyond the base, slices, and what cannot be worked with."""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.definitions import Definitions, packaged
from fhirserver.model.json import Resource
from fhirserver.validation import Issue, validate

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'
PATIENT = {"resourceType": "Patient", "text": {"status": "generated", "div": DIV}}
OBSERVATION = {
    "resourceType": "Observation",
    "text": {"status": "generated", "div": DIV},
    "status": "final",
    "code": {"text": "c"},
}
URL = "http://example.org/p"


def profile(*elements: Resource, type: str = "Patient", url: str = URL, **more: Any) -> Resource:
    return {
        "resourceType": "StructureDefinition",
        "url": url,
        "name": "P",
        "status": "draft",
        "kind": "resource",
        "abstract": False,
        "type": type,
        "baseDefinition": f"http://hl7.org/fhir/StructureDefinition/{type}",
        "derivation": "constraint",
        "differential": {"element": list(elements)},
    } | more


def at(path: str, **more: Any) -> Resource:
    """An element of a differential: `Patient.name:official.given`."""
    steps = [step.partition(":")[0] for step in path.split(".")]
    slice_name = path.rpartition(".")[2].partition(":")[2]
    named = {"sliceName": slice_name} if slice_name else {}
    return {"id": path, "path": ".".join(steps)} | named | more


def definitions(*profiles: Resource) -> Definitions:
    return packaged().extended(profiles)


def errors(resource: Resource, *profiles: Resource) -> list[tuple[str, str]]:
    issues = validate(resource, [profiles[0]["url"]], definitions(*profiles))
    assert not [issue for issue in issues if "cannot be used" in issue.text]
    return [(issue.code, issue.expression) for issue in issues if issue.is_error]


def slicing(type: str, path: str, rules: str = "open", *, ordered: bool = False) -> Resource:
    told = [{"type": type, "path": path}]
    return {"slicing": {"discriminator": told, "rules": rules, "ordered": ordered}}


# --- elements ---------------------------------------------------------------------------------


def test_an_unknown_profile_is_never_passed_over_in_silence() -> None:
    issues = validate(PATIENT, ["http://example.org/profile"])
    assert [(issue.severity, issue.code) for issue in issues] == [("warning", "not-found")]
    assert "http://example.org/profile" in issues[0].text


def test_the_type_itself_is_a_profile() -> None:
    assert validate(PATIENT, ["http://hl7.org/fhir/StructureDefinition/Patient|4.0.1"]) == []


def test_another_version_of_a_profile_is_another_profile() -> None:
    asked = ["http://hl7.org/fhir/StructureDefinition/bp|3.0.0"]
    assert [issue.code for issue in validate(OBSERVATION, asked)] == ["not-found"]


def test_a_profile_for_another_type_is_told() -> None:
    assert errors(PATIENT, profile(type="Observation"))[0] == ("structure", "Patient")


def test_cardinality() -> None:
    wanted = profile(at("Patient.name", min=1, max="1"), at("Patient.name.family", min=1))
    assert errors(PATIENT, wanted) == [("required", "Patient")]
    assert errors(PATIENT | {"name": [{"family": "a"}]}, wanted) == []
    assert errors(PATIENT | {"name": [{"text": "a"}]}, wanted) == [("required", "Patient.name[0]")]
    two = PATIENT | {"name": [{"family": "a"}, {"family": "b"}]}
    assert errors(two, wanted) == [("structure", "Patient.name[1]")]


def test_fixed_and_pattern() -> None:
    fixed = profile(at("Patient.active", fixedBoolean=True))
    assert errors(PATIENT | {"active": True}, fixed) == []
    assert errors(PATIENT | {"active": False}, fixed) == [("value", "Patient.active")]
    pattern = {"coding": [{"system": "http://loinc.org", "code": "x"}]}
    wanted = profile(at("Observation.code", patternCodeableConcept=pattern), type="Observation")
    coding = {"system": "http://loinc.org", "code": "x", "display": "X"}
    assert errors(OBSERVATION | {"code": {"coding": [coding]}, "id": "a"}, wanted) == []
    assert errors(OBSERVATION, wanted) == [("value", "Observation.code")]


def test_types_of_a_choice() -> None:
    wanted = profile(at("Observation.value[x]", type=[{"code": "Quantity"}]), type="Observation")
    assert errors(OBSERVATION | {"valueQuantity": {"value": 1}}, wanted) == []
    found = errors(OBSERVATION | {"valueString": "a"}, wanted)
    assert found == [("structure", "Observation.value.ofType(string)")]


def test_the_short_form_of_a_choice() -> None:
    wanted = profile(
        at("Observation.valueQuantity", min=1), at("Observation.valueQuantity.unit", min=1),
        type="Observation",
    )  # fmt: skip
    found = errors(OBSERVATION | {"valueQuantity": {"value": 1}}, wanted)
    assert found == [("required", "Observation.value.ofType(Quantity)")]
    assert errors(OBSERVATION, wanted) == [("structure", "Observation")]


def test_targets_are_narrowed() -> None:
    only = [{"code": "Reference", "targetProfile": [
        "http://hl7.org/fhir/StructureDefinition/Patient"]}]  # fmt: skip
    wanted = profile(at("Observation.subject", type=only), type="Observation")
    assert errors(OBSERVATION | {"subject": {"reference": "Patient/a"}}, wanted) == []
    found = errors(OBSERVATION | {"subject": {"reference": "Group/a"}}, wanted)
    assert found == [("value", "Observation.subject")]


def test_invariants_bindings_bounds_and_lengths() -> None:
    rule = {"key": "x-1", "severity": "error", "human": "a name", "expression": "name.exists()"}
    wanted = profile(
        at("Patient", constraint=[rule]),
        at("Patient.maritalStatus", binding={
            "strength": "required",
            "valueSet": "http://hl7.org/fhir/ValueSet/administrative-gender"}),
        at("Patient.multipleBirth[x]", maxValueInteger=3),
        at("Patient.name.family", maxLength=3),
    )  # fmt: skip
    assert errors(PATIENT, wanted) == [("invariant", "Patient")]
    wrong = PATIENT | {
        "name": [{"family": "long"}],
        "maritalStatus": {"coding": [{"system": "http://u", "code": "x"}]},
        "multipleBirthInteger": 4,
    }
    assert sorted(errors(wrong, wanted)) == [
        ("code-invalid", "Patient.maritalStatus"),
        ("too-long", "Patient.name[0].family"),
        ("value", "Patient.multipleBirth.ofType(integer)"),
    ]


# --- slices -----------------------------------------------------------------------------------


def names(*uses: str) -> Resource:
    return PATIENT | {"name": [{"use": use, "text": "a"} for use in uses]}


def sliced(rules: str = "open", *, ordered: bool = False) -> Resource:
    return profile(
        at("Patient.name", **slicing("value", "use", rules, ordered=ordered)),
        at("Patient.name:official", min=1, max="1"),
        at("Patient.name:official.use", min=1, fixedCode="official"),
        at("Patient.name:official.text", min=1),
        at("Patient.name:nick", max="1"),
        at("Patient.name:nick.use", min=1, fixedCode="nickname"),
    )


def test_slices_by_value() -> None:
    assert errors(names("official", "nickname", "old"), sliced()) == []
    assert errors(names("nickname"), sliced()) == [("structure", "Patient")]
    assert errors(names("official", "official"), sliced()) == [("structure", "Patient")]
    bare = PATIENT | {"name": [{"use": "official", "family": "a"}]}
    assert errors(bare, sliced()) == [("required", "Patient.name[0]")]


def test_closed_and_ordered_slices() -> None:
    assert errors(names("official", "old"), sliced("closed")) == [("structure", "Patient.name[1]")]
    late = errors(names("old", "official"), sliced("openAtEnd"))
    assert late == [("structure", "Patient.name[1]")]
    assert errors(names("official", "old"), sliced("openAtEnd")) == []
    turned = errors(names("nickname", "official"), sliced(ordered=True))
    assert turned == [("structure", "Patient.name[1]")]


def test_slices_by_pattern_existence_and_type() -> None:
    coded = {"coding": [{"code": "lab"}]}
    wanted = profile(
        at("Observation.category", **slicing("pattern", "$this")),
        at("Observation.category:lab", min=1, patternCodeableConcept=coded),
        at("Observation.component", **slicing("exists", "value")),
        at("Observation.component:full", max="1"),
        at("Observation.component:full.value[x]", min=1),
        at("Observation.value[x]", **slicing("type", "$this")),
        at("Observation.value[x]:valueString", type=[{"code": "string"}], maxLength=2),
        type="Observation",
    )
    good = OBSERVATION | {"category": [coded], "valueString": "a"}
    assert errors(good, wanted) == []
    assert errors(OBSERVATION, wanted) == [("structure", "Observation")]
    assert errors(good | {"valueString": "abc"}, wanted) == [
        ("too-long", "Observation.value.ofType(string)")
    ]
    part = {"code": {"text": "c"}, "valueString": "a"}
    empty = {"code": {"text": "c"}}
    assert errors(good | {"component": [part, empty]}, wanted) == []
    assert errors(good | {"component": [part, part]}, wanted) == [("structure", "Observation")]


def test_slices_by_profile_of_what_is_referred_to() -> None:
    named = profile(at("Patient.name", min=1), url="http://example.org/named")
    wanted = profile(
        at("Observation.performer", **slicing("profile", "resolve()")),
        at("Observation.performer:named", min=1, type=[
            {"code": "Reference", "targetProfile": [named["url"]]}]),
        type="Observation",
    )  # fmt: skip

    def observed(patient: Resource) -> Resource:
        return OBSERVATION | {
            "contained": [patient | {"id": "p"}],
            "performer": [{"reference": "#p"}],
        }

    bare = {"resourceType": "Patient", "active": True}
    assert errors(observed(bare | {"name": [{"text": "a"}]}), wanted, named) == []
    assert errors(observed(bare), wanted, named) == [("structure", "Observation")]


def test_slices_of_slices() -> None:
    wanted = profile(
        at("Patient.identifier", **slicing("value", "system")),
        at("Patient.identifier:ours", **slicing("value", "use")),
        at("Patient.identifier:ours.system", min=1, fixedUri="http://ours"),
        at("Patient.identifier:ours/old", max="1"),
        at("Patient.identifier:ours/old.use", min=1, fixedCode="old"),
    )

    def identified(*uses: str) -> Resource:
        return PATIENT | {
            "identifier": [{"system": "http://ours", "use": use, "value": "1"} for use in uses]
        }

    assert errors(identified("old", "usual", "usual"), wanted) == []
    assert errors(identified("old", "old"), wanted) == [("structure", "Patient")]


def test_extensions_by_their_profile() -> None:
    url = "http://example.org/e"
    extension = profile(
        at("Extension.extension", max="0"),
        at("Extension.url", fixedUri=url),
        at("Extension.value[x]", min=1, type=[{"code": "code"}]),
        type="Extension", url=url, kind="complex-type",
        context=[{"type": "element", "expression": "Patient.name"}],
    )  # fmt: skip
    wanted = profile(at("Patient.name.extension:e", min=1, type=[
        {"code": "Extension", "profile": [url]}]))  # fmt: skip
    given = {"url": url, "valueCode": "a"}
    good = PATIENT | {"name": [{"text": "a", "extension": [given]}]}
    assert errors(good, wanted, extension) == []
    wrong = PATIENT | {"name": [{"text": "a", "extension": [{"url": url, "valueString": "a"}]}]}
    assert {code for code, _ in errors(wrong, wanted, extension)} == {"structure"}
    assert errors(PATIENT | {"name": [{"text": "a"}]}, wanted, extension) == [
        ("structure", "Patient.name[0]")
    ]
    elsewhere = good | {"extension": [given]}
    assert errors(elsewhere, wanted, extension) == [("extension", "Patient.extension[0]")]


# --- profiles that cannot be used -------------------------------------------------------------


def told(*profiles: Resource) -> list[Issue]:
    return validate(PATIENT, [profiles[0]["url"]], definitions(*profiles))


@pytest.mark.parametrize(
    ("profiles", "why"),
    [
        ([profile(baseDefinition=URL)], "based on itself"),
        (
            [profile(baseDefinition="http://b"), profile(url="http://b", baseDefinition=URL)],
            "based on itself",
        ),
        ([profile(baseDefinition="http://nowhere")], "'http://nowhere'"),
        ([profile(at("Patient.nonsense", min=1))], "Patient.nonsense"),
        ([profile(at("Patient.name.nonsense.more", min=1))], "Patient.name.nonsense"),
        ([profile(at("Observation.status", min=1))], "Observation"),
        ([profile({"min": 1})], "no path"),
        ([profile(type="Patient", baseDefinition=f"{URL}2"), profile(url=f"{URL}2",
            type="Observation")], "its base"),
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_used_is_told(profiles: list[Resource], why: str) -> None:
    (issue,) = told(*profiles)
    assert (issue.severity, issue.code) == ("warning", "not-supported")
    assert why in issue.text


def test_a_faulty_rule_of_a_profile_is_told() -> None:
    for expression in ("name.", "nonsense()", "name.first() + 1 = 2 and (name | 3).single()"):
        rule = {"key": "x-1", "severity": "error", "human": "h", "expression": expression}
        issues = told(profile(at("Patient", constraint=[rule])))
        assert all(issue.text for issue in issues)
        assert [issue.severity for issue in issues] in ([], ["warning"])


def test_a_hostile_rule_ends_in_time() -> None:
    expression = "name.text.matches('^(a+)+$')"
    rule = {"key": "x-1", "severity": "error", "human": "h", "expression": expression}
    patient = PATIENT | {"name": [{"text": "a" * 5000 + "!"}]}
    wanted = profile(at("Patient", constraint=[rule]))
    assert len(validate(patient, [URL], definitions(wanted))) == 1


def test_a_profile_of_itself_ends() -> None:
    wanted = profile(
        at("Patient.contact", **slicing("profile", "$this")),
        at("Patient.link.other", type=[{"code": "Reference", "targetProfile": [URL]}]),
    )
    patient = PATIENT | {"id": "a", "link": [{"other": {"reference": "#"}, "type": "seealso"}]}
    assert validate(patient, [URL], definitions(wanted)) is not None
