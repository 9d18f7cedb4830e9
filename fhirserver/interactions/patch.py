"""patch, and conditional patch: JSON Patch (RFC 6902), XML Patch (RFC 5261), FHIRPath Patch.

https://hl7.org/fhir/R4/http.html#patch. The result is processed as an update.
"""

from __future__ import annotations

from typing import Final, Protocol

from fhirserver.definitions.registry import Definitions
from fhirserver.errors import Invalid, NotFound, Unprocessable
from fhirserver.interactions.accept import accept
from fhirserver.interactions.commit import carry_out
from fhirserver.interactions.condition import Condition, condition, one_match
from fhirserver.interactions.contention import check_write
from fhirserver.interactions.context import Context
from fhirserver.interactions.fhirpath_patch import FhirPathPatch
from fhirserver.interactions.json_patch import JsonPatch
from fhirserver.interactions.parameters import check_parameters
from fhirserver.interactions.patch_value import without_empty
from fhirserver.interactions.plan import Plan, Target, answer, written
from fhirserver.interactions.request import Answer, Request
from fhirserver.interactions.same import same
from fhirserver.interactions.xml_patch import XmlPatch
from fhirserver.model.json import Json, Resource, decode, encode
from fhirserver.store.port import Key


class Patch(Protocol):
    """A patch that was understood."""

    def apply(self, document: Json) -> Json:
        """The patched document; the given one is not to be used again.

        Raises `Unprocessable` where it does not fit.
        """


async def run(context: Context, request: Request) -> Answer:
    """200 with the new version, or with the present one where the patch changes nothing.

    Raises `NotFound` where there is nothing to patch, `Unprocessable` where the patch or its
    result does not fit, `PreconditionFailed` by If-Match.
    """
    check_parameters(request)
    patch = patch_of(request.patch, context.definitions)

    async def plan() -> Plan:
        found = await target(context, request)
        resource, _ = await accept(context, request, found.type, patched(found, patch))
        return Plan((written(context, request, found, resource, "PATCH"),))

    done = await carry_out(context, request, plan)
    return answer(done.steps[0], done.instant)


async def run_conditional(context: Context, request: Request) -> Answer:
    """As `run`, on the one match of the condition. Raises `MultipleMatches`."""
    assert request.type is not None
    when = await condition(context, request, request.type, request.parameters)
    patch = patch_of(request.patch, context.definitions)

    async def plan() -> Plan:
        found = await conditional_target(context, request, when)
        resource, _ = await accept(context, request, found.type, patched(found, patch))
        return Plan((written(context, request, found, resource, "PATCH"),))

    done = await carry_out(context, request, plan)
    return answer(done.steps[0], done.instant)


def patch_of(document: Json | bytes, definitions: Definitions) -> Patch:
    """The patch of a request: of a list a JSON Patch, of bytes an XML Patch, else FHIRPath Patch.

    Raises `Invalid` for what is none.
    """
    if isinstance(document, list):
        return JsonPatch(document)
    if isinstance(document, bytes):
        return XmlPatch(document, definitions)
    return FhirPathPatch(document, definitions)


async def target(context: Context, request: Request) -> Target:
    """The resource of the request's id, as it stands."""
    type, id = request.type or "", request.id or ""
    current = await context.store.read(type, id)
    check_write(request, current)
    if current is None or current.body is None:
        raise NotFound(f"There is no {type}/{id} to patch.")
    return Target(type, id, current)


async def conditional_target(
    context: Context, request: Request, when: Condition, gone: frozenset[Key] = frozenset()
) -> Target:
    """The one match of the condition; what is `gone` does not match."""
    match = await one_match(context, when, gone)
    check_write(request, match.version)
    if match.version is None:
        raise NotFound(f"Nothing matches {when.text}, so there is nothing to patch.")
    return Target(when.type, match.version.id, match.version, (match.expectation,))


def patched(found: Target, patch: Patch) -> Resource:
    """The content of the target after the patch.

    Elements that the patch emptied are left out, as FHIR knows none. A generated narrative
    that the patch left as it was is left out where the data has changed: it may be unsafe.
    """
    assert found.current is not None and found.current.body is not None
    before = decode(found.current.body)
    result = patch.apply(decode(found.current.body))
    result = without_empty(_checked_nesting(result))
    if not isinstance(result, dict):
        raise Unprocessable("The patch leaves no resource.")
    if result.get("id") != found.id or result.get("resourceType") != found.type:
        raise Invalid("A patch cannot change the id or the type of a resource.")
    return _with_safe_narrative(before, result)


def _checked_nesting(result: Json) -> Json:
    try:
        return decode(encode(result))
    except (RecursionError, Invalid):
        raise Unprocessable("The patch nests the resource too deeply.") from None


_BESIDE_DATA: Final = ("text", "meta", "id", "resourceType", "implicitRules", "language")


def _with_safe_narrative(before: Resource, after: Resource) -> Resource:
    text = after.get("text")
    if not isinstance(text, dict) or text.get("status") != "generated":
        return after
    if not same(text, before.get("text")) or same(_data(before), _data(after)):
        return after
    return {name: value for name, value in after.items() if name != "text"}


def _data(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if name not in _BESIDE_DATA}
