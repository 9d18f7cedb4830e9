"""delete, and conditional delete of one or of all matches.

https://hl7.org/fhir/R4/http.html#delete and #3.1.0.7.1. To delete what is gone, or never
was, succeeds.
"""

from __future__ import annotations

from fhirserver.interactions.commit import carry_out
from fhirserver.interactions.condition import Condition, all_matches, condition, one_match
from fhirserver.interactions.contention import check_write
from fhirserver.interactions.context import Context
from fhirserver.interactions.parameters import check_parameters
from fhirserver.interactions.plan import Plan, Target, answer, removed
from fhirserver.interactions.request import Answer, Request


async def run(context: Context, request: Request) -> Answer:
    """204 with the version of the deletion, if there ever was such a resource.

    Raises `Conflict` when others refer to it, `PreconditionFailed` by If-Match.
    """
    check_parameters(request)

    async def plan() -> Plan:
        return Plan((removed(await target(context, request)),))

    done = await carry_out(context, request, plan)
    return answer(done.steps[0], done.instant)


async def run_conditional(context: Context, request: Request) -> Answer:
    """204 when what matches is deleted, or nothing does.

    Several matches raise `MultipleMatches`, unless the policy is to delete them all.
    """
    assert request.type is not None
    when = condition(context, request, request.type, request.parameters)

    async def plan() -> Plan:
        return Plan(tuple(map(removed, await conditional_targets(context, request, when))))

    done = await carry_out(context, request, plan)
    return answer(done.steps[0], done.instant) if len(done.steps) == 1 else Answer(204)


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
