"""What resources can be found by."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies.holding import holding

from fhirserver.definitions.packaged import packaged
from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import Resource, decode, encode
from fhirserver.search.contained import CONTAINED, CONTAINER
from fhirserver.search.entry import (
    Composite,
    Contained,
    Date,
    Entries,
    Number,
    Position,
    Quantity,
    Reference,
    String,
    Token,
    Uri,
)
from fhirserver.search.index import UNCOVERED, Indexer
from fhirserver.search.parameter import kind_of
from fhirserver.search.params import PARAMETER_TYPES
from fhirserver.search.selection import branches, parsed

TYPES = sorted(packaged().resource_types)
BASE = "http://here/fhir"
CLASSES = {
    "token": Token,
    "string": String,
    "date": Date,
    "number": Number,
    "quantity": Quantity,
    "reference": Reference,
    "uri": Uri,
    "composite": Composite,
    "position": Position,
}
DERIVED = {
    "text": "string",
    "of-type": "token",
    "identifier": "token",
    "present": "token",
    "type": "token",
}


def check(definitions: Definitions, type: str, entries: Entries) -> None:
    """Every entry is of its parameter's kind and in itself in order."""
    known = definitions.search_parameters(type)
    for name, found in entries.items():
        if name == CONTAINED:
            for part in found:
                assert isinstance(part, Contained)
                check(definitions, part.type.removeprefix("#"), part.entries)
            continue
        code, _, suffix = name.partition(":")
        kind = (
            DERIVED[suffix]
            if suffix in DERIVED
            else "reference"
            if code in (UNCOVERED, CONTAINER)
            else kind_of(known[code])
        )
        assert found, name
        assert len(set(found)) == len(found), name
        for entry in found:
            assert isinstance(entry, CLASSES[kind]), (name, entry)
            parts = entry.components if isinstance(entry, Composite) else (entry,)
            for part in parts:
                _check_values(part)


def _check_values(entry: Any) -> None:
    match entry:
        case Date(start, end):
            assert isinstance(start, int)
            assert isinstance(end, int)
            assert start < end
        case Number(low, high) | Quantity(low, high):
            assert isinstance(low, float)
            assert isinstance(high, float)
            assert low <= high
        case String(folded, exact):
            assert isinstance(folded, str)
            assert isinstance(exact, str)
        case Position(latitude, longitude):
            assert -90 <= latitude <= 90
            assert -180 <= longitude <= 180
        case _:
            assert all(isinstance(value, str) for value in entry)


# --- the parameters of R4 --------------------------------------------------------------------

_NOT_PLAIN = {
    ("Patient", "deceased"),  # a boolean expression, with cases of its own
    ("Bundle", "composition"),  # a whole resource, which is no reference
    ("Bundle", "message"),
    ("QuestionnaireResponse", "item-subject"),
}


@pytest.mark.parametrize("type", TYPES)
def test_every_parameter_finds_what_its_expression_selects(
    type: str, definitions: Definitions, indexer: Indexer
) -> None:
    for code, parameter in indexer.parameters(type).items():
        if code in ("_id", "_lastUpdated") or kind_of(parameter) in ("composite", "position"):
            continue
        held = [
            found
            for branch in branches(definitions, type, parsed(parameter.expression or ""))
            for found in holding(definitions, type, branch)
        ]
        assert held or (type, code) in _NOT_PLAIN or parameter.type == "reference", code
        for selected, resource in held:
            entries = indexer.entries(resource, BASE)
            check(definitions, type, entries)
            convert = PARAMETER_TYPES[parameter.type].convert
            gives = selected in convert or (selected, parameter.type) == ("Extension", "string")
            if gives and (parameter.type, selected) != ("date", "string"):  # may be no date
                assert entries.get(code), (code, resource)


@pytest.mark.parametrize("type", TYPES)
def test_no_parameter_of_an_empty_resource_is_there(type: str, indexer: Indexer) -> None:
    entries = indexer.entries({"resourceType": type})
    assert entries == ({"deceased": (Token("", "false"),)} if type == "Patient" else {})


# --- derived names ---------------------------------------------------------------------------


def test_texts_of_what_is_coded_stand_under_a_name_of_their_own(indexer: Indexer) -> None:
    concept = {"coding": [{"code": "a", "display": "Blood pressure"}], "text": "BP"}
    entries = indexer.entries({"resourceType": "Observation", "code": concept})
    texts = (
        String("blood pressure", "Blood pressure"),
        String("pressure", ""),
        String("bp", "BP"),
    )
    assert entries["code"] == entries["combo-code"] == (Token("", "a"),)
    assert entries["code:text"] == entries["combo-code:text"] == texts


def test_an_element_that_gives_no_entry_is_marked_as_present(indexer: Indexer) -> None:
    entries = indexer.entries({"resourceType": "Observation", "code": {"text": "x"}})
    assert entries["code:present"] == (Token("", ""),)
    assert "code" not in entries


def test_an_element_with_an_extension_only_is_not_present(indexer: Indexer) -> None:
    unknown = {"extension": [{"url": "http://a", "valueCode": "unknown"}]}
    assert indexer.entries({"resourceType": "Person", "_birthDate": unknown}) == {}


def test_references_that_no_parameter_covers_are_kept_apart(indexer: Indexer) -> None:
    entries = indexer.entries(
        {
            "resourceType": "Patient",
            "managingOrganization": {"reference": "Organization/a"},
            "contact": [{"organization": {"reference": f"{BASE}/Organization/b"}}],
            "contained": [{"resourceType": "Basic", "author": {"reference": "Practitioner/c"}}],
            "extension": [{"url": "x", "valueReference": {"reference": "Organization/a"}}],
            "link": [{"other": {"reference": "#x"}}],
        },
        BASE,
    )
    assert entries["organization"] == (Reference("Organization", "a"),)
    assert set(entries[UNCOVERED]) == {
        Reference("Organization", "b"),
        Reference("Practitioner", "c"),
    }


def test_what_a_bundle_carries_keeps_its_references_to_itself(indexer: Indexer) -> None:
    observation = {"resourceType": "Observation", "subject": {"reference": "Patient/a"}}
    entries = indexer.entries({"resourceType": "Bundle", "entry": [{"resource": observation}]})
    assert UNCOVERED not in entries


def test_long_texts_give_a_bounded_number_of_entries(indexer: Indexer) -> None:
    text = "word " * 5000
    entries = indexer.entries({"resourceType": "ValueSet", "description": text})["description"]
    assert entries[0] == String(text.strip(), text)
    assert len(entries) <= 25
    assert all(len(entry.folded) <= 80 for entry in entries[1:] if isinstance(entry, String))


def test_references_alone(indexer: Indexer) -> None:
    observation = {
        "resourceType": "Observation",
        "subject": {"reference": "Patient/a"},
        "performer": [{"reference": f"{BASE}/Practitioner/b"}, {"reference": "Patient/a"}],
    }
    assert indexer.references(observation, "performer", BASE) == (
        Reference("Practitioner", "b"),
        Reference("Patient", "a"),
    )
    assert set(indexer.references(observation, "*", BASE)) == {
        Reference("Practitioner", "b"),
        Reference("Patient", "a"),
    }
    assert indexer.references(observation, "code", BASE) == ()


def test_the_parameters_of_a_type(indexer: Indexer) -> None:
    known = indexer.parameters("Patient")
    assert {"_id", "_lastUpdated", "_tag", "name", "birthdate"} <= known.keys()
    assert not {"age", "_text", "_filter", "_query", "near"} & known.keys()


# --- odd data --------------------------------------------------------------------------------

_PLAIN: Resource = {
    "resourceType": "Observation",
    "meta": {"profile": ["http://a|1"], "tag": [{"code": "a"}]},
    "identifier": [{"system": "a", "value": "b", "type": {"coding": [{"code": "c"}]}}],
    "status": "final",
    "code": {"coding": [{"system": "a", "code": "b", "display": "c d"}], "text": "e"},
    "subject": {"reference": "Patient/a", "identifier": {"value": "x"}, "display": "f"},
    "effectivePeriod": {"start": "2020", "end": "2021"},
    "component": [
        {"code": {"coding": [{"code": "g"}]}, "valueQuantity": {"value": 1, "code": "mg"}},
        {"code": {"coding": [{"code": "h"}]}, "valueRange": {"low": {"value": 1}}},
    ],
}
_ODD = st.recursive(
    st.sampled_from([None, True, 0, -1, 10**400, "", "a", "\x00", "#", "|", "2020-02-31", "://"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["value", "code", "coding", "reference", "start", "low", "x"]),
            inner,
            max_size=2,
        )
    ),
    max_leaves=5,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from _places(item, (*path, key))


def _replaced(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(value[path[0]], path[1:], odd)
    return copy


@given(st.sampled_from([path for path in _places(_PLAIN) if path != ("resourceType",)]), _ODD)
def test_odd_data_gives_entries_in_order_or_none(path: tuple[Any, ...], odd: Any) -> None:
    resource = _replaced(_PLAIN, path, odd)
    check(packaged(), "Observation", Indexer(packaged()).entries(resource, BASE))


def test_an_unknown_type_has_no_entries(indexer: Indexer) -> None:
    assert indexer.entries({"resourceType": "Foo", "id": "a"}) == {}


# --- real data -------------------------------------------------------------------------------


def test_the_official_examples(
    definitions_package: Path, definitions: Definitions, indexer: Indexer
) -> None:
    skipped = ("CodeSystem-", "ValueSet-", "StructureDefinition-", "SearchParameter-", "package")
    count = 0
    for file in definitions_package.glob("*.json"):
        if not file.name.startswith(skipped):
            resource = decode(file.read_bytes())
            if "resourceType" in resource:
                check(definitions, resource["resourceType"], indexer.entries(resource, BASE))
                count += 1
    assert count > 700


@pytest.mark.parametrize("count", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_synthetic_patients(
    count: int, shared: Path, definitions: Definitions, indexer: Indexer
) -> None:
    files = sorted((shared / "data" / "synthea").glob("*.json.gz"))[:count]
    assert len(files) == count
    for file in files:
        for entry in decode(gzip.decompress(file.read_bytes()))["entry"]:
            resource = entry["resource"]
            check(definitions, resource["resourceType"], indexer.entries(resource, BASE))


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Patient", "link": [{"other": {"reference": 'Patient/a"b\\c'}}]},
        {"resourceType": "Basic", "author": {"reference": "Practitioner/ä", "display": "x"}},
        {"resourceType": "Basic", "extension": [{"valueString": '"reference":"Patient/a"'}]},
        {
            "resourceType": "Parameters",
            "parameter": [
                {"resource": {"resourceType": "Basic", "author": {"reference": "Patient/a"}}},
                {"valueReference": {"reference": "Patient/b"}},
            ],
        },
        {"resourceType": "Basic", "subject": {"reference": ""}, "author": {"reference": "#x"}},
    ],
)
def test_entries_are_the_same_from_the_encoded_form(
    indexer: Indexer, resource: dict[str, Any]
) -> None:
    entries = indexer.entries(resource, BASE)
    again = indexer.entries(resource, BASE, encoded=encode(resource))
    assert {name: set(some) for name, some in again.items()} == {
        name: set(some) for name, some in entries.items()
    }
