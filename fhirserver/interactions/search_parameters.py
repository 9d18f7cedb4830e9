"""SearchParameters that are written: what is active takes effect, so it must be able to work.

The commit states what parameters it rests on, so of two that clash one is refused, wherever
they were sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fhirserver.definitions.search_parameter import SearchParameter, search_parameter
from fhirserver.errors import Conflict, Unprocessable
from fhirserver.interactions.context import Context
from fhirserver.interactions.plan import Step
from fhirserver.model.json import Resource
from fhirserver.model.outcome import Issue
from fhirserver.search.parameter_check import TYPE, check_parameter, is_active, is_standard


def check_search_parameters(context: Context, steps: Sequence[Step]) -> None:
    """Raises `Unprocessable`, with every finding, for active ones that cannot work.

    Raises `Conflict` when one ceases to be that an active composite is made of.
    """
    written = [step for step in steps if step.change and step.key.type == TYPE]
    if not written:
        return
    standard = context.definitions.standard
    ids = {step.key.id for step in written}
    kept = [item for item in context.definitions.custom_search_parameters if item.id not in ids]
    new = [
        (step, step.resource)
        for step in written
        if step.resource and is_active(step.resource) and not is_standard(standard, step.resource)
    ]
    added = [_parameter(step, resource) for step, resource in new]
    every = standard.with_search_parameters([*kept, *added])
    issues = [
        issue for step, resource in new for issue in check_parameter(every, resource, _place(step))
    ]
    if issues:
        raise Unprocessable(
            f"A SearchParameter that is active takes effect, and this one cannot: {issues[0].text}",
            issues=issues,
        )
    for item in kept:
        for component in item.components:
            if every.search_parameter(component.definition) is None:
                raise Conflict(
                    f"SearchParameter/{item.id} is made of {component.definition}: "
                    "delete or retire it first."
                )


def _parameter(step: Step, resource: Resource) -> SearchParameter:
    try:
        return replace(search_parameter(resource, custom=True), id=step.key.id)
    except (AttributeError, KeyError, TypeError) as error:
        text = "The SearchParameter is malformed: see the rules of its elements."
        issue = Issue("error", "structure", _place(step), text)
        raise Unprocessable(text, issues=[issue]) from error


def _place(step: Step) -> str:
    return TYPE if step.entry is None else f"Bundle.entry[{step.entry}].resource"
