from fhirserver.definitions.element import Discriminator, TypeRef, element, regex

SYSTEM = "http://hl7.org/fhirpath/System.String"
EXTENSIONS = "http://hl7.org/fhir/StructureDefinition"


def test_a_backbone_element_as_a_snapshot_states_it() -> None:
    found = element(
        {
            "id": "Patient.link",
            "path": "Patient.link",
            "min": 0,
            "max": "*",
            "type": [{"code": "BackboneElement"}],
            "isModifier": True,
            "isSummary": True,
        }
    )
    assert (found.name, found.min, found.max, found.choice) == ("link", 0, None, False)
    assert (found.is_modifier, found.is_summary, found.must_support) == (True, True, False)


def test_a_choice_keeps_its_types_and_loses_its_brackets() -> None:
    found = element(
        {
            "path": "Observation.value[x]",
            "min": 0,
            "max": "1",
            "type": [{"code": "Quantity"}, {"code": "string"}],
        }
    )
    assert (found.name, found.choice, found.max) == ("value", True, 1)
    assert [item.code for item in found.types] == ["Quantity", "string"]


def test_a_system_type_is_the_primitive_it_stands_for() -> None:
    stated = {"url": f"{EXTENSIONS}/structuredefinition-fhir-type", "valueUrl": "uri"}
    found = element(
        {
            "path": "Extension.url",
            "base": {"path": "Extension.url"},
            "type": [{"code": SYSTEM, "extension": [stated]}],
        }
    )
    assert found.types == (TypeRef("uri"),)


def test_the_id_of_a_resource_is_an_id_and_that_of_an_element_a_string() -> None:
    stated = {"url": f"{EXTENSIONS}/structuredefinition-fhir-type", "valueUrl": "string"}
    type_ = {"code": SYSTEM, "extension": [stated]}
    resource = element({"path": "Patient.id", "base": {"path": "Resource.id"}, "type": [type_]})
    name = element({"path": "HumanName.id", "base": {"path": "Element.id"}, "type": [type_]})
    assert (resource.types[0].code, name.types[0].code) == ("id", "string")


def test_a_reference_and_its_targets() -> None:
    target = f"{EXTENSIONS}/Patient"
    found = element(
        {"path": "X.subject", "type": [{"code": "Reference", "targetProfile": [target]}]}
    )
    assert found.types == (TypeRef("Reference", (), (target,)),)


def test_fixed_pattern_and_bounds() -> None:
    found = element(
        {
            "path": "X.y",
            "fixedBoolean": False,
            "patternCodeableConcept": {"text": "t"},
            "minValueInteger": -1,
            "maxValueInteger": 9,
            "maxLength": 5,
        }
    )
    assert found.fixed is False
    assert found.pattern == {"text": "t"}
    assert (found.min_value, found.max_value, found.max_length) == (-1, 9, 5)


def test_slicing_binding_and_constraint() -> None:
    found = element(
        {
            "path": "X.y",
            "slicing": {"discriminator": [{"type": "value", "path": "url"}], "rules": "closed"},
            "binding": {
                "strength": "extensible",
                "valueSet": "http://v",
                "extension": [
                    {"url": f"{EXTENSIONS}/elementdefinition-maxValueSet", "valueCanonical": "w"}
                ],
            },
            "constraint": [{"key": "k", "severity": "error", "human": "h", "expression": "e"}],
        }
    )
    assert found.slicing is not None
    assert found.slicing.discriminators == (Discriminator("value", "url"),)
    assert (found.slicing.ordered, found.slicing.rules) == (False, "closed")
    assert found.binding is not None
    assert (found.binding.value_set, found.binding.max_value_set) == ("http://v", "w")
    assert [item.key for item in found.constraints] == ["k"]


def test_a_binding_in_words_only_is_none() -> None:
    assert element({"path": "X.y", "binding": {"strength": "example"}}).binding is None


def test_a_content_reference_is_a_path() -> None:
    assert element({"path": "X.y", "contentReference": "#X.z"}).content_reference == "X.z"


def test_regex_of_a_primitives_value() -> None:
    stated = {"url": f"{EXTENSIONS}/regex", "valueString": "true|false"}
    assert regex({"path": "boolean.value", "type": [{"code": SYSTEM, "extension": [stated]}]})
    assert regex({"path": "boolean.id", "type": [{"code": SYSTEM}]}) is None
