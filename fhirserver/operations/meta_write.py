"""What $meta-add and $meta-delete have in common: a new version with other labels.

R4 leaves open whether labels change without a new version. Here a version, once made, never
changes; so they make one.
"""

from __future__ import annotations

from collections.abc import Callable

from fhirserver.interactions.commit import carry_out
from fhirserver.interactions.contention import check_write
from fhirserver.interactions.context import Context
from fhirserver.interactions.plan import Plan, Target, written
from fhirserver.interactions.plan import answer as answered
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Resource, decode
from fhirserver.operations.arguments import arguments
from fhirserver.operations.current import current
from fhirserver.operations.parameters import Out, parameters


async def relabelled(
    context: Context, request: Request, url: str, change: Callable[[Resource, Resource], Resource]
) -> Answer:
    """200 with the meta of the resource, which `change` made of its own and the one sent.

    Nothing is written where nothing changes. Raises `NotFound`, `Gone`, and
    `PreconditionFailed` by If-Match.
    """
    assert request.type is not None and request.id is not None
    type, id = request.type, request.id
    given = arguments(context, request, url).one("meta")

    async def plan() -> Plan:
        version = await current(context, type, id)
        check_write(request, version)
        resource = decode(version.body or b"{}")
        resource["meta"] = change(resource.get("meta", {}), given)
        return Plan((written(context, request, Target(type, id, version), resource, "PATCH"),))

    done = await carry_out(context, request, plan)
    now = answered(done.steps[0], done.instant)
    answer = parameters(Out("return", "valueMeta", decode(now.body or b"{}").get("meta", {})))
    answer.type, answer.id, answer.version = now.type, now.id, now.version
    answer.last_updated = now.last_updated
    return answer
