"""delete, and conditional delete of one or of all matches.

https://hl7.org/fhir/R4/http.html#delete and #3.1.0.7.1. To delete what is gone, or never
was, succeeds.
"""

from __future__ import annotations

from collections.abc import Sequence

from fhirserver.interactions.cascade import deletion, referring, told
from fhirserver.interactions.commit import carry_out
from fhirserver.interactions.condition import Condition, all_matches, condition, one_match
from fhirserver.interactions.contention import check_write
from fhirserver.interactions.context import Context
from fhirserver.interactions.parameters import check_parameters
from fhirserver.interactions.plan import Plan, Step, Target, answer, removed
from fhirserver.interactions.request import Answer, Request


async def run(context: Context, request: Request) -> Answer:
    """204 with the version of the deletion, if there ever was such a resource.

    Raises `Conflict` when others refer to it and are not to go along, `PreconditionFailed` by
    If-Match.
    """
    request, cascades = deletion(request)
    check_parameters(request)

    async def plan() -> Plan:
        return await _plan(context, (await target(context, request),), cascades=cascades)

    done = await carry_out(context, request, plan)
    first, *along = done.steps
    return _told(answer(first, done.instant), along, cascades=cascades)


async def run_conditional(context: Context, request: Request) -> Answer:
    """204 when what matches is deleted, or nothing does.

    Several matches raise `MultipleMatches`, unless the policy is to delete them all.
    """
    assert request.type is not None
    request, cascades = deletion(request)
    when = await condition(context, request, request.type or "", request.parameters)
    matches = 0

    async def plan() -> Plan:
        nonlocal matches
        chosen = await conditional_targets(context, request, when)
        matches = len(chosen)
        return await _plan(context, chosen, cascades=cascades)

    done = await carry_out(context, request, plan)
    one = answer(done.steps[0], done.instant) if matches == 1 else Answer(204)
    return _told(one, done.steps[matches:], cascades=cascades)


async def _plan(context: Context, chosen: tuple[Target, ...], *, cascades: bool) -> Plan:
    along = await referring(context, chosen) if cascades else ()
    return Plan(tuple(map(removed, chosen + along)))


def _told(one: Answer, along: Sequence[Step], *, cascades: bool) -> Answer:
    return told(one, [step.key for step in along]) if cascades else one


async def target(context: Context, request: Request) -> Target:
    """The resource of the request's id, as it stands."""
    type, id = request.type or "", request.id or ""
    current = await context.store.read(type, id)
    if request.if_match is not None:
        check_write(request, current)
    return Target(type, id, current)


async def conditional_targets(
    context: Context, request: Request, when: Condition
) -> tuple[Target, ...]:
    """The resources that the condition selects for deletion."""
    if context.policy.conditional_delete == "multiple" and request.if_match is None:
        most = context.policy.max_conditional_deletes
        return tuple(
            Target(version.type, version.id, version)
            for version in await all_matches(context, when, most)
        )
    match = await one_match(context, when)
    if match.version is None:
        return ()
    check_write(request, match.version)
    return (Target(when.type, match.version.id, match.version, (match.expectation,)),)
