"""update, update as create, and conditional update.

https://hl7.org/fhir/R4/http.html#update, #upsert and #cond-update.
"""

from __future__ import annotations

from collections.abc import Mapping

from fhirserver.errors import Conflict, Invalid, MethodNotAllowed
from fhirserver.interactions.accept import accept
from fhirserver.interactions.commit import carry_out
from fhirserver.interactions.condition import Condition, condition, one_match
from fhirserver.interactions.contention import check_write
from fhirserver.interactions.context import Context
from fhirserver.interactions.parameters import check_parameters
from fhirserver.interactions.plan import Plan, Target, answer, written
from fhirserver.interactions.prefer import with_issues
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Json, Resource
from fhirserver.model.reference import ID
from fhirserver.store.port import Key, Version


async def run(context: Context, request: Request) -> Answer:
    """200 with the new version, or the present one where nothing changes; 201 if created.

    Raises `Invalid` when the resource has another id, `PreconditionFailed` by If-Match and
    If-None-Match, `MethodNotAllowed` when ids of clients are not taken.
    """
    assert request.type is not None and request.id is not None
    check_parameters(request)
    check_id(request.id, request.resource)
    resource, issues = await accept(context, request, request.type, request.resource)

    async def plan() -> Plan:
        found = await target(context, request)
        return Plan((written(context, request, found, resource, "PUT"),))

    done = await carry_out(context, request, plan)
    return with_issues(answer(done.steps[0], done.instant), request, issues)


async def run_conditional(context: Context, request: Request) -> Answer:
    """As `run`, on the one match of the condition, or on a new resource if there is none.

    Raises `MultipleMatches`; `Invalid` when the resource has another id than the match;
    `Conflict` when there is no match, yet a resource with the id that was sent.
    """
    assert request.type is not None
    when = await condition(context, request, request.type, request.parameters)
    resource, issues = await accept(context, request, request.type, request.resource)
    new_id = context.new_id()

    async def plan() -> Plan:
        found = await conditional_target(context, request, when, resource, new_id)
        return Plan((written(context, request, found, resource, "PUT"),))

    done = await carry_out(context, request, plan)
    return with_issues(answer(done.steps[0], done.instant), request, issues)


def check_id(id: str, resource: Json) -> None:
    """Raises `Invalid` unless the resource has the id of the address."""
    if isinstance(resource, dict) and resource.get("id") != id:
        given = resource.get("id")
        what = f"has the id '{given}'" if isinstance(given, str) else "has no id"
        raise Invalid(
            f"The resource {what}, but the address says '{id}': both must be the same.",
            expression=f"{resource.get('resourceType', 'Resource')}.id",
        )


async def target(
    context: Context, request: Request, heads: Mapping[Key, Version] | None = None
) -> Target:
    """The resource of the request's id, as it stands and if it may be written over.

    `heads` are the last versions of many, this one's among them, where they were read together.
    """
    type, id = request.type or "", request.id or ""
    if heads is None:
        current = await context.store.read(type, id)
    else:
        current = heads.get(Key(type, id))
    check_write(request, current)
    if current is None:
        _check_may_name(context, request, type, id)
    return Target(type, id, current)


async def conditional_target(
    context: Context,
    request: Request,
    when: Condition,
    resource: Resource,
    new_id: str,
    gone: frozenset[Key] = frozenset(),
) -> Target:
    """The one match of the condition, or the resource to be created if there is none.

    What is `gone` does not match.
    """
    given = resource.get("id")
    match = await one_match(context, when, gone)
    if match.version is not None:
        if given is not None and given != match.version.id:
            raise Invalid(
                f"The condition selects {when.type}/{match.version.id}, but the resource has "
                f"the id '{given}': send it with that id or none.",
                expression=f"{when.type}.id",
            )
        check_write(request, match.version)
        return Target(when.type, match.version.id, match.version, (match.expectation,))
    check_write(request, None)
    if given is None:
        return Target(when.type, new_id, before=(match.expectation,))
    if not isinstance(given, str) or not ID.fullmatch(given):
        raise Invalid("The resource's id is not an id.", expression=f"{when.type}.id")
    current = await context.store.read(when.type, given)
    if current is not None and current.body is not None:
        raise Conflict(
            f"Nothing matches the condition, but there is a {when.type}/{given} already: send "
            "the resource without an id, or update that one."
        )
    _check_may_name(context, request, when.type, given)
    return Target(when.type, given, current, (match.expectation,))


def _check_may_name(context: Context, request: Request, type: str, id: str) -> None:
    if not context.policy.update_create or not context.may_name(request.grant, type):
        raise MethodNotAllowed(
            f"There is no resource with the id '{id}', and this server gives out ids itself: "
            "create it with POST [base]/[type].",
            headers={"Allow": "GET, HEAD"},
        )
