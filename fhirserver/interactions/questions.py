"""Validation with its open questions answered from the store, all together.

Validation itself never waits (`fhirserver.validation`): it tells what it would have to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Request
from fhirserver.interactions.validation_mode import modes, required_profiles
from fhirserver.model.json import Json
from fhirserver.model.outcome import Issue
from fhirserver.validation import Report, examine
from fhirserver.validation.question import ProfileQuestion, Question, ReferenceQuestion

_ROUNDS: Final = 5  # profiles that refer to profiles, which are asked for in turn
_NO_TYPES: Final[Mapping[str, str]] = MappingProxyType({})


async def judged(
    context: Context,
    request: Request,
    resource: Json,
    profiles: Sequence[str] = (),
    types: Mapping[str, str] = _NO_TYPES,
    *,
    advice: bool = False,
) -> list[Issue]:
    """All findings about a resource, by the rules of R4, its profiles and those required.

    `types` are those of resources by the references that lead to them; `advice` tells what is
    only recommended as well.
    """
    await context.stored.refresh(context)
    report = _examined(context, resource, profiles, advice)
    for _ in range(_ROUNDS):
        urls = [item.url for item in report.questions if isinstance(item, ProfileQuestion)]
        if not urls or not await context.stored.add(context, urls):
            break
        report = _examined(context, resource, profiles, advice)
    answered = [_answer(question, types) for question in report.questions]
    return report.issues + [issue for issue in answered if issue is not None]


def _examined(context: Context, resource: Json, profiles: Sequence[str], advice: bool) -> Report:
    type = resource.get("resourceType") if isinstance(resource, dict) else None
    required = required_profiles(context.policy.required_profiles).get(str(type), ())
    return examine(
        resource,
        (*required, *profiles),
        context.stored.definitions(context),
        modes(context.policy.validation_modes),
        advice=advice,
    )


def _answer(question: Question, types: Mapping[str, str]) -> Issue | None:
    if isinstance(question, ReferenceQuestion):
        type = types.get(question.reference)
        return None if type is None or type in question.types else question.refused(type)
    return question.unanswered()
