"""Validation with its open questions answered from the store, all together.

Validation itself never waits (`fhirserver.validation`): it tells what it would have to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Request
from fhirserver.interactions.stored_definitions import newest
from fhirserver.interactions.terminology import in_value_sets, names_of
from fhirserver.interactions.validation_mode import modes, required_profiles
from fhirserver.model.json import Json, decode
from fhirserver.model.outcome import Issue
from fhirserver.store.concepts import NO_CONCEPTS
from fhirserver.validation import Report, examine
from fhirserver.validation.finding import MOST, error, told, under
from fhirserver.validation.question import (
    CodeQuestion,
    DisplayQuestion,
    ProfileQuestion,
    Question,
    QuestionnaireQuestion,
    same_display,
    wrong_display,
)
from fhirserver.validation.questionnaire import answers
from fhirserver.validation.scope import NO_TYPES

_ROUNDS: Final = 5  # profiles that refer to profiles, which are asked for in turn


async def judged(
    context: Context,
    request: Request,
    resource: Json,
    profiles: Sequence[str] = (),
    types: Mapping[str, str] = NO_TYPES,
    *,
    advice: bool = False,
) -> list[Issue]:
    """All findings about a resource, by the rules of R4, its profiles and those required.

    `types` are those of resources by the references that lead to them; `advice` tells what is
    only recommended as well.
    """
    await context.stored.refresh(context)
    report = _examined(context, resource, profiles, types, advice=advice)
    for _ in range(_ROUNDS):
        urls = {item.url: None for item in report.questions if isinstance(item, ProfileQuestion)}
        if len(urls) > MOST:  # each is a search
            return told([*report.issues, _too_many(resource, len(urls))])
        if not urls or not await context.stored.add(context, urls):
            break
        report = _examined(context, resource, profiles, types, advice=advice)
    if not report.questions:
        return told(report.issues)
    is_advised = advice or request.prefer == "OperationOutcome"
    refused = await _refused_codes(context, report.questions, is_advised=is_advised)
    refused += await _wrong_displays(context, report.questions)
    refused += await _refused_answers(context, resource, report.questions)
    answered = [question.unanswered() for question in report.questions]
    return told(report.issues + refused + [issue for issue in answered if issue is not None])


def _too_many(resource: Json, count: int) -> Issue:
    type = resource.get("resourceType", "") if isinstance(resource, dict) else ""
    text = f"It names {count} profiles and extensions that are not known here: at most {MOST}."
    return error("too-costly", text, str(type))


def _examined(
    context: Context,
    resource: Json,
    profiles: Sequence[str],
    types: Mapping[str, str],
    *,
    advice: bool,
) -> Report:
    type = resource.get("resourceType") if isinstance(resource, dict) else None
    required = required_profiles(context.policy.required_profiles).get(str(type), ())
    return examine(
        resource,
        (*required, *profiles),
        context.stored.definitions(context),
        modes(context.policy.validation_modes),
        advice=advice,
        asks_displays=advice,
        types=types,
    )


async def _refused_codes(
    context: Context, questions: Sequence[Question], *, is_advised: bool
) -> list[Issue]:
    """The findings about codes that are in none of their value sets, all looked up together.

    What is only warned of is looked up where that is to be told. A value set or code system that
    is nowhere leaves its codes unjudged.
    """
    asked = [
        item
        for item in questions
        if isinstance(item, CodeQuestion) and (is_advised or item.issue.is_error)
    ]
    if not asked or context.concepts is NO_CONCEPTS:
        return []
    answers = await in_value_sets(context, [(item.value_set, item.codes) for item in asked])
    return [item.refused() for item, known in zip(asked, answers, strict=True) if known is False]


async def _wrong_displays(context: Context, questions: Sequence[Question]) -> list[Issue]:
    """The findings about displays that none of their codes' names in stored systems is."""
    asked = [item for item in questions if isinstance(item, DisplayQuestion)][:MOST]
    if not asked or context.concepts is NO_CONCEPTS:
        return []
    names = await names_of(context, [(item.system, item.version, item.code) for item in asked])
    return [
        wrong_display(item.code, item.display, known, item.expression)
        for item, known in zip(asked, names, strict=True)
        if known and not any(same_display(item.display, name) for name in known)
    ]


async def _refused_answers(
    context: Context, resource: Json, questions: Sequence[Question]
) -> list[Issue]:
    """The findings about answers to a stored Questionnaire.

    Those that stand in a Bundle or are contained are held against what comes with them only.
    """
    for question in questions:
        if isinstance(question, QuestionnaireQuestion) and isinstance(resource, dict):
            type = resource["resourceType"]
            if question.expression == type == "QuestionnaireResponse":
                body = await newest(context, question.url, "Questionnaire")
                found = None if body is None else answers(resource, decode(body))
                return [item for item in under(type, found or ()) if isinstance(item, Issue)]
    return []
