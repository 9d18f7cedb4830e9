"""create, and conditional create.

https://hl7.org/fhir/R4/http.html#create and #ccreate. The id is always the server's.
"""

from __future__ import annotations

from fhirserver.interactions.accept import accept
from fhirserver.interactions.commit import carry_out
from fhirserver.interactions.condition import Condition, condition, one_match
from fhirserver.interactions.context import Context
from fhirserver.interactions.parameters import check_parameters
from fhirserver.interactions.plan import Plan, Target, answer, written
from fhirserver.interactions.prefer import with_issues
from fhirserver.interactions.request import Answer, Request
from fhirserver.store.port import Key


async def run(context: Context, request: Request) -> Answer:
    """201 with the new resource; 200 with the one there is, when If-None-Exist finds it.

    Raises `MultipleMatches` when it finds several.
    """
    assert request.type is not None
    check_parameters(request)
    resource, issues = await accept(context, request, request.type, request.resource)
    unless = None
    if request.if_none_exist is not None:
        unless = await condition(context, request, request.type, request.if_none_exist)
    id = context.new_id()

    async def plan() -> Plan:
        found = await target(context, request.type or "", id, unless)
        return Plan((written(context, request, found, resource, "POST"),))

    done = await carry_out(context, request, plan)
    return with_issues(answer(done.steps[0], done.instant), request, issues)


async def target(
    context: Context,
    type: str,
    id: str,
    unless: Condition | None,
    gone: frozenset[Key] = frozenset(),
) -> Target:
    """The new resource with that id; or, where the condition has a match, that one as it is.

    What is `gone` does not match.
    """
    if unless is None:
        return Target(type, id)
    match = await one_match(context, unless, gone)
    if match.version is None:
        return Target(type, id, before=(match.expectation,))
    return Target(type, match.version.id, match.version, (match.expectation,), found=True)
