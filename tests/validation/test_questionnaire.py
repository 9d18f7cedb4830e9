"""Questionnaires, and answers to those that are contained."""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.model.json import Resource
from fhirserver.validation import validate


def errors(resource: Resource) -> list[tuple[str, str]]:
    return [(item.code, item.expression) for item in validate(resource) if item.is_error]


def response(item: Resource, *given: Any, status: str = "completed") -> Resource:
    asked = {"resourceType": "Questionnaire", "id": "q", "status": "draft", "item": [item]}
    answers = {"item": list(given)} if given else {}
    return {
        "resourceType": "QuestionnaireResponse",
        "status": status,
        "questionnaire": "#q",
        "contained": [asked],
    } | answers


BOOLEAN = {"linkId": "1", "type": "boolean"}
YES = {"linkId": "1", "answer": [{"valueBoolean": True}]}
ITEM = "QuestionnaireResponse.item[0]"


@pytest.mark.parametrize(
    ("item", "given", "found"),
    [
        (BOOLEAN, [YES], []),
        (BOOLEAN, [], []),
        (BOOLEAN, [YES | {"linkId": "2"}], [("not-found", f"{ITEM}.linkId")]),
        (BOOLEAN, [YES, YES], [("structure", "QuestionnaireResponse.item[1]")]),
        (BOOLEAN, [YES | {"answer": YES["answer"] * 2}], [("structure", ITEM)]),  # type: ignore[operator]
        (BOOLEAN | {"repeats": True}, [YES | {"answer": YES["answer"] * 2}], []),  # type: ignore[operator]
        (BOOLEAN | {"required": True}, [], [("required", "QuestionnaireResponse")]),
        (
            {"linkId": "1", "type": "group", "item": [BOOLEAN | {"linkId": "2"}]},
            [YES],
            [("structure", ITEM)],
        ),
        ({"linkId": "1", "type": "integer"}, [YES], [("structure", f"{ITEM}.answer[0]")]),
    ],
)
def test_answers(item: Resource, given: list[Resource], found: list[tuple[str, str]]) -> None:
    assert errors(response(item, *given)) == found


def test_what_is_not_done_may_lack_answers() -> None:
    assert errors(response(BOOLEAN | {"required": True}, status="in-progress")) == []


@pytest.mark.parametrize(("question", "code"), [("1", "business-rule"), ("9", "not-found")])
def test_a_condition_is_about_another_item(question: str, code: str) -> None:
    when = {"question": question, "operator": "exists", "answerBoolean": True}
    asked = {"resourceType": "Questionnaire", "status": "draft"}
    found = errors(asked | {"item": [BOOLEAN | {"enableWhen": [when]}]})
    assert found == [(code, "Questionnaire.item[0].enableWhen[0].question")]
