"""Questionnaires, and the answers to them.

https://hl7.org/fhir/R4/questionnaire.html, https://hl7.org/fhir/R4/questionnaireresponse.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fhirserver.validation.finding import Finding, Found, error
from fhirserver.validation.question import QuestionnaireQuestion
from fhirserver.validation.scope import NOWHERE, Scope

_ANSWERS: Final[Mapping[str, tuple[str, ...]]] = {
    "boolean": ("valueBoolean",),
    "decimal": ("valueDecimal",),
    "integer": ("valueInteger",),
    "date": ("valueDate",),
    "dateTime": ("valueDateTime",),
    "time": ("valueTime",),
    "string": ("valueString",),
    "text": ("valueString",),
    "url": ("valueUri",),
    "choice": ("valueCoding", "valueString", "valueInteger", "valueDate", "valueTime"),
    "open-choice": ("valueCoding", "valueString", "valueInteger", "valueDate", "valueTime"),
    "attachment": ("valueAttachment",),
    "reference": ("valueReference",),
    "quantity": ("valueQuantity",),
}
"""The properties that hold an answer to a question of each type."""


def questionnaire(value: Any, scope: Scope = NOWHERE) -> Found:
    """The findings about a Questionnaire: conditions name questions that come before."""
    ids = {item.get("linkId") for item, _ in _items(value, "")}
    found: list[Finding] = []
    for item, place in _items(value, ""):
        conditions = item.get("enableWhen", ())
        if len(conditions) > 1 and "enableBehavior" not in item:
            # The expression of que-12 counts from three, its words from two.
            text = "Several conditions need enableBehavior: all or any (que-12)."
            found.append(error("invariant", text, place))
        for index, when in enumerate(conditions):
            asked = when.get("question")
            at = f"{place}.enableWhen[{index}].question"
            if asked == item.get("linkId"):
                found.append(error("business-rule", "A question cannot depend on itself.", at))
            elif asked not in ids:
                text = f"The condition is about '{asked}', but no item has that linkId."
                found.append(error("not-found", text, at))
    return found or None


def questionnaire_response(value: Any, scope: Scope = NOWHERE) -> Found:
    """The findings about answers, where the Questionnaire is contained or in the Bundle.

    Of another one it is a question.
    """
    url = value.get("questionnaire")
    if not isinstance(url, str):
        return None
    asked = scope.target(url)
    if asked is None and url[:1] != "#":
        return [QuestionnaireQuestion("", url)]
    if asked is None or asked.get("resourceType") != "Questionnaire":
        return None
    return answers(value, asked)


def answers(value: Any, asked: Any) -> Found:
    """The findings about a QuestionnaireResponse as answer to a Questionnaire."""
    found: list[Finding] = []
    done = value.get("status") in ("completed", "amended")
    _compare(asked.get("item", []), value.get("item", []), "", found, done=done)
    return found or None


def _items(holder: Any, place: str) -> Iterator[tuple[Any, str]]:
    stack = [(holder, place)]
    while stack:
        node, at = stack.pop()
        for index, item in enumerate(node.get("item", ())):
            here = f"{at}.item[{index}]"
            yield item, here
            stack.append((item, here))


def _compare(
    asked: list[Any], given: list[Any], place: str, found: list[Finding], *, done: bool
) -> None:
    """Holds some items of a response against those of the Questionnaire."""
    known = {item.get("linkId"): item for item in asked}
    seen: set[str] = set()
    for index, item in enumerate(given):
        at = f"{place}.item[{index}]"
        question = known.get(item.get("linkId"))
        if question is None:
            text = f"The Questionnaire has no item '{item.get('linkId')}' here."
            found.append(error("not-found", text, f"{at}.linkId"))
            continue
        if question["linkId"] in seen and question.get("type") != "group":
            text = f"The item '{question['linkId']}' is answered twice."
            found.append(error("structure", text, at))
        seen.add(question["linkId"])
        _answer(question, item, at, found, done=done)
    for question in asked:
        is_needed = done and question.get("required") and "enableWhen" not in question
        if is_needed and question.get("linkId") not in seen:
            text = f"The required item '{question.get('linkId')}' is not answered."
            found.append(error("required", text, place))


def _answer(question: Any, item: Any, at: str, found: list[Finding], *, done: bool) -> None:
    kind = question.get("type")
    answers = item.get("answer", [])
    if kind in ("group", "display"):
        if answers:
            found.append(error("structure", f"An item of type {kind} has no answer.", at))
    elif len(answers) > 1 and not question.get("repeats"):
        text = f"Expected one answer to '{item.get('linkId')}', found {len(answers)}."
        found.append(error("structure", text, at))
    elif done and question.get("required") and not answers and "enableWhen" not in question:
        text = f"The required question '{item.get('linkId')}' is not answered."
        found.append(error("required", text, at))
    wanted = _ANSWERS.get(kind, ())
    for index, answer in enumerate(answers):
        here = f"{at}.answer[{index}]"
        name = next((name for name in answer if name.startswith("value")), None)
        if wanted and name is not None and name not in wanted:
            text = f"Expected an answer of type {kind} ({' or '.join(wanted)}), found {name}."
            found.append(error("structure", text, here))
        _compare(question.get("item", []), answer.get("item", []), here, found, done=done)
    _compare(question.get("item", []), item.get("item", []), at, found, done=done)
