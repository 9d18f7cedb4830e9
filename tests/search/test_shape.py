"""Summaries and elements."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import decode
from fhirserver.search.shape import SUBSETTED, shaped

OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o",
    "meta": {"versionId": "1", "tag": [{"code": "own"}]},
    "implicitRules": "http://a",
    "text": {"status": "generated", "div": "<div>x</div>"},
    "contained": [{"resourceType": "Patient", "id": "p"}],
    "status": "final",
    "_status": {"id": "s"},
    "category": [{"text": "a"}],
    "code": {"text": "b"},
    "valueQuantity": {"value": 1, "extension": [{"url": "x", "valueCode": "y"}]},
    "note": [{"text": "c"}],
    "component": [
        {"code": {"text": "d"}, "valueString": "e", "interpretation": [{"text": "f"}]},
    ],
}
TAGGED = {"versionId": "1", "tag": [{"code": "own"}, SUBSETTED]}


@pytest.fixture(autouse=True)
def _unchanged() -> Any:
    before = deepcopy(OBSERVATION)
    yield
    assert before == OBSERVATION


def test_a_summary_has_what_the_definition_marks(definitions: Definitions) -> None:
    assert shaped(definitions, OBSERVATION, "true") == {
        "resourceType": "Observation",
        "id": "o",
        "meta": TAGGED,
        "implicitRules": "http://a",
        "status": "final",
        "_status": {"id": "s"},
        "code": {"text": "b"},
        "valueQuantity": {"value": 1},
        "component": [{"code": {"text": "d"}, "valueString": "e"}],
    }


def test_a_text_comes_with_what_is_mandatory(definitions: Definitions) -> None:
    assert shaped(definitions, OBSERVATION, "text") == {
        "resourceType": "Observation",
        "id": "o",
        "meta": TAGGED,
        "text": OBSERVATION["text"],
        "status": "final",
        "_status": {"id": "s"},
        "code": {"text": "b"},
    }


def test_data_is_all_but_the_text(definitions: Definitions) -> None:
    data = shaped(definitions, OBSERVATION, "data")
    assert data == {
        name: value for name, value in (OBSERVATION | {"meta": TAGGED}).items() if name != "text"
    }
    plain = {"resourceType": "Patient", "id": "p"}
    assert shaped(definitions, plain, "data") is plain


def test_elements_are_those_asked_for_and_the_mandatory_ones(definitions: Definitions) -> None:
    part = shaped(definitions, OBSERVATION, elements=("value", "note"))
    assert list(part) == [
        "resourceType",
        "id",
        "meta",
        "status",
        "_status",
        "code",
        "valueQuantity",
        "note",
    ]
    assert part["meta"] == TAGGED


def test_nothing_asked_for_is_the_whole(definitions: Definitions) -> None:
    assert shaped(definitions, OBSERVATION) is OBSERVATION


def test_the_mark_is_set_once(definitions: Definitions) -> None:
    marked = OBSERVATION | {"meta": {"tag": [SUBSETTED]}}
    assert shaped(definitions, marked, "true")["meta"] == {"tag": [SUBSETTED]}


def test_a_resource_within_a_bundle_is_summed_up_by_its_own_type(definitions: Definitions) -> None:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": OBSERVATION}]}
    (entry,) = shaped(definitions, bundle, "true")["entry"]
    assert entry["resource"]["code"] == {"text": "b"}
    assert "note" not in entry["resource"]


def test_every_official_example_keeps_its_mandatory_elements(
    definitions: Definitions, definitions_package: Path
) -> None:
    for file in definitions_package.glob("[A-B]*.json"):
        resource = decode(file.read_bytes())
        children = definitions.children(resource["resourceType"])
        for summary in ("true", "text", "data"):
            part = shaped(definitions, resource, summary)
            assert part.keys() <= resource.keys() | {"meta"}
            assert all(
                name in part
                for name, child in children.items()
                if child.element.min > 0 and name in resource
            )
