"""Extensions: known ones by their definition, others as a question; profiles that come later."""

from __future__ import annotations

from typing import Any

from validation.extensions import CORE, OWN, colour

from fhirserver.definitions import Definitions, packaged
from fhirserver.model.json import Resource
from fhirserver.validation import Issue, examine, validate
from fhirserver.validation.question import ExtensionQuestion


def patient(*extensions: Resource, **more: Any) -> Resource:
    return {"resourceType": "Patient", "extension": list(extensions)} | more


def errors(resource: Resource, definitions: Definitions | None = None) -> list[str]:
    return [issue.expression for issue in validate(resource, None, definitions) if issue.is_error]


def test_an_unknown_extension_is_asked_for() -> None:
    (question,) = examine(patient({"url": OWN, "valueCode": "red"})).questions
    assert question == ExtensionQuestion("Patient.extension[0]", OWN)


def test_what_a_known_extension_holds_is_held_against_its_definition() -> None:
    known = {"url": f"{CORE}/patient-birthPlace", "valueString": "Pisa"}
    assert errors(patient(known)) == ["Patient.extension[0].value.ofType(string)"]


def test_the_url_of_an_extension_has_no_version() -> None:
    versioned = {"url": f"{CORE}/patient-birthPlace|4.0.1", "valueAddress": {"city": "Pisa"}}
    assert errors(patient(versioned)) == ["Patient.extension[0].url"]


def test_a_modifier_stands_among_modifiers_only() -> None:
    birth_place = {"url": f"{CORE}/patient-birthPlace", "valueAddress": {"city": "Pisa"}}
    resource = {"resourceType": "Patient", "modifierExtension": [birth_place]}
    assert errors(resource) == ["Patient.modifierExtension[0]"]


def test_profiles_that_are_added_count_wherever_a_resource_stands() -> None:
    wrong = patient({"url": OWN, "valueString": "red"})
    unknown = {"url": "http://example.org/other", "valueCode": "a"}
    holder = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [
            {"fullUrl": "urn:uuid:6f9619ff-8b86-4d01-b42d-00c04fc964ff", "resource": wrong},
            {
                "fullUrl": "urn:uuid:6f9619ff-8b86-4d01-b42d-00c04fc964fe",
                "resource": {
                    "resourceType": "Observation",
                    "status": "final",
                    "code": {"text": "c"},
                    "extension": [unknown],
                    "subject": {"reference": "#p"},
                    "contained": [{"id": "p"} | wrong],
                },
            },
        ],
    }
    assert errors(holder) == []  # it is not known yet
    more = packaged().extended([colour()])
    inner = "extension[0].value.ofType(string)"
    assert errors(holder, more) == [
        f"Bundle.entry[0].resource.{inner}",
        f"Bundle.entry[1].resource.contained[0].{inner}",
    ]
    assert errors(holder) == []  # what one caller added is not known to others


def test_a_new_profile_leaves_the_checks_of_types_as_they_are() -> None:
    more = packaged().extended([colour()])
    assert more.children("Patient") is packaged().children("Patient")
    assert more.structure(OWN) is not None
    assert packaged().structure(OWN) is None
    again = more.extended([colour(url="http://example.org/size")])
    assert {again.structure(OWN) is None, again.structure("http://example.org/size") is None} == {
        False
    }


def test_a_type_that_is_replaced_gets_checks_of_its_own() -> None:
    shelf = packaged().shelf("StructureDefinition")
    basic = dict(shelf[f"{CORE}/Basic"])
    elements = [
        item | {"min": 1} if item["path"] == "Basic.subject" else item
        for item in basic["snapshot"]["element"]
    ]
    other = packaged().extended([basic | {"snapshot": {"element": elements}}])
    resource = {"resourceType": "Basic", "code": {"text": "c"}}
    told = [issue.text for issue in validate(resource, None, other) if issue.is_error]
    assert told == ["The required element 'subject' is missing."]
    assert errors(resource) == []


def issues_of(resource: Resource, *profiles: Resource) -> list[Issue]:
    return validate(resource, None, packaged().extended(profiles))


def test_findings_about_a_place_name_the_extension() -> None:
    resource = {"resourceType": "Patient", "name": [{"text": "a", "extension": []}]}
    resource["name"][0]["extension"] = [{"url": OWN, "valueCode": "red"}]
    (issue,) = [item for item in issues_of(resource, colour()) if item.is_error]
    assert issue.expression == "Patient.name[0].extension[0]"
    assert OWN in issue.text
