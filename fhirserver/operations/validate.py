"""$validate: whether a resource would be accepted, in general or for a certain write.

https://hl7.org/fhir/R4/resource-operation-validate.html. Always 200 with an OperationOutcome,
unless it is unknown what to validate.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from fhirserver.errors import FhirError, Invalid
from fhirserver.interactions import delete, update
from fhirserver.interactions.accept import check_fragments
from fhirserver.interactions.context import Context
from fhirserver.interactions.integrity import integrity
from fhirserver.interactions.plan import Step, Target, removed
from fhirserver.interactions.questions import judged
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Resource, decode, encode
from fhirserver.model.outcome import Issue, issues_of, operation_outcome
from fhirserver.operations.arguments import Arguments, arguments
from fhirserver.operations.current import current

URL = "http://hl7.org/fhir/OperationDefinition/Resource-validate"


async def run(context: Context, request: Request) -> Answer:
    """200 with all findings. Raises `Invalid` where the mode does not fit the address."""
    given = arguments(context, request, URL)
    mode = given.one("mode")
    check = _MODES.get(mode)
    if check is None:
        raise Invalid(f"mode is one of {', '.join(filter(None, _MODES))}, or left out.")
    if mode in ("update", "delete") and request.id is None:
        raise Invalid(f"mode {mode} is for one resource: call [type]/[id]/$validate.")
    issues = await check(context, request, given)
    return Answer(200, encode(operation_outcome(issues)))


async def _of_content(context: Context, request: Request, given: Arguments) -> list[Issue]:
    resource = given.one("resource")
    if resource is None:
        if request.type is None or request.id is None:
            raise Invalid("Send the resource that is to be validated.")
        version = await current(context, request.type, request.id)
        resource = decode(version.body or b"{}")
    return await _content(context, request, resource, given)


async def _of_create(context: Context, request: Request, given: Arguments) -> list[Issue]:
    resource = _sent(given)
    issues = await _content(context, request, resource, given)
    step = Step(201, Target(request.type or "", "new"), resource=resource)
    return issues + await _refused_by(lambda: _references(context, request, step), issues)


async def _of_update(context: Context, request: Request, given: Arguments) -> list[Issue]:
    resource = _sent(given)
    issues = await _content(context, request, resource, given)

    async def check() -> None:
        update.check_id(request.id or "", resource)
        target = await update.target(context, request)
        await _references(context, request, Step(200, target, resource=resource))

    return issues + await _refused_by(check, issues)


async def _of_delete(context: Context, request: Request, given: Arguments) -> list[Issue]:
    async def check() -> None:
        step = removed(await delete.target(context, request))
        await integrity(context, request, (step,), doubtful=True)

    return await _refused_by(check, [])


async def _of_profile(context: Context, request: Request, given: Arguments) -> list[Issue]:
    """As without a mode, but the profile has to be named (R4: mode `profile`)."""
    if given.one("profile") is None:
        raise Invalid("mode profile needs a profile to validate against.")
    return await _of_content(context, request, given)


_MODES: Final[
    Mapping[str | None, Callable[[Context, Request, Arguments], Awaitable[list[Issue]]]]
] = {
    None: _of_content,
    "create": _of_create,
    "update": _of_update,
    "delete": _of_delete,
    "profile": _of_profile,
}


def _sent(given: Arguments) -> Resource:
    resource: Resource | None = given.one("resource")
    if resource is None:
        raise Invalid("Send the resource that is to be validated.")
    return resource


async def _content(
    context: Context, request: Request, resource: Resource, given: Arguments
) -> list[Issue]:
    """The findings about a resource in itself, whatever a write would let pass."""
    type = resource.get("resourceType")
    issues = []
    if request.type not in (None, type) and type in context.definitions.resource_types:
        text = f"This is a {type}, but the address is for a {request.type}."
        issues.append(Issue("error", "invalid", f"{type}.resourceType", text))
    profile = given.one("profile")
    profiles = () if profile is None else (profile,)
    issues += await judged(context, request, resource, profiles, advice=True)
    if not any(issue.is_error for issue in issues):
        try:
            check_fragments(resource, encode(resource))
        except FhirError as error:
            issues += issues_of(error)
    return issues


async def _references(context: Context, request: Request, step: Step) -> None:
    if context.policy.integrity_on_write:
        await integrity(context, request, (step,), doubtful=True)


async def _refused_by(check: Callable[[], Awaitable[None]], known: list[Issue]) -> list[Issue]:
    """What a write would be refused with, where its content is sound."""
    if any(issue.is_error for issue in known):
        return []
    try:
        await check()
    except FhirError as error:
        return list(issues_of(error))
    return []
