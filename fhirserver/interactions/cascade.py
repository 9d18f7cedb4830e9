"""`_cascade=delete`: a deletion that takes along what refers to the resource, and so on.

R4 leaves to servers how they keep integrity (https://hl7.org/fhir/R4/http.html#delete); the
parameter, and the header `X-Cascade` that the REST edge reads as it, are those of HAPI FHIR.
All goes in one commit, or nothing. What came to refer to it meanwhile fails the commit's
expectations, and the deletion is planned again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import NamedTuple

from fhirserver.errors import Invalid, TooCostly
from fhirserver.interactions.context import Context
from fhirserver.interactions.integrity import holding
from fhirserver.interactions.parameters import single
from fhirserver.interactions.plan import Target
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import encode
from fhirserver.model.outcome import Issue, operation_outcome
from fhirserver.search.expression import Query
from fhirserver.store.port import Key

CASCADE = "_cascade"
_TOGETHER = 200  # so many targets are looked for by one search
_PAGE = 200


class Deletion(NamedTuple):
    """A request to delete, without the parameter that asks for a cascade."""

    request: Request
    cascades: bool


def deletion(request: Request) -> Deletion:
    """What a request to delete asks. Raises `Invalid` for an unknown kind of cascade."""
    asked = single(request, CASCADE)
    if asked is None:
        return Deletion(request, cascades=False)
    if asked != "delete":
        raise Invalid("_cascade is delete, or left out.")
    others = tuple(pair for pair in request.parameters if pair[0] != CASCADE)
    return Deletion(replace(request, parameters=others), cascades=True)


async def referring(
    context: Context, deleted: Sequence[Target], written: Collection[Key] = ()
) -> tuple[Target, ...]:
    """What refers to the targets, directly or by way of others, in the order it is found.

    `written` are resources that the same commit changes otherwise, and which stay. Raises
    `TooCostly` for more than `Policy.max_cascaded_deletes`.
    """
    most = context.policy.max_cascaded_deletes
    seen = {target.key for target in deleted} | set(written)
    found: list[Target] = []
    fresh = [target for target in deleted if target.exists]
    while fresh:
        some, fresh = fresh[:_TOGETHER], fresh[_TOGETHER:]
        who = holding([Key(target.type, target.id) for target in some])
        query: Query | None = Query((), who, count=_PAGE)
        while query is not None:
            page = await context.store.search(query)
            for version in page.versions:
                key = Key(version.type, version.id)
                if key not in seen:
                    seen.add(key)
                    found.append(Target(version.type, version.id, version))
                    fresh.append(found[-1])
            if len(found) > most:
                raise TooCostly(_too_many(most))
            query = replace(query, after=page.next) if page.next is not None else None
    return tuple(found)


def told(answer: Answer, along: Sequence[Key]) -> Answer:
    """The answer to a deletion, with an outcome that lists what went along."""
    of = f"{answer.type}/{answer.id} is" if answer.id else "What matches is"
    first = f"{of} deleted, and so is what refers to it: {len(along)} resources."
    texts = [first, *(f"{key.type}/{key.id} is deleted." for key in along)]
    issues = [Issue("information", "informational", "", text) for text in texts]
    return replace(answer, outcome=encode(operation_outcome(issues)))


def _too_many(most: int) -> str:
    if not most:
        return "This server takes nothing along with a deletion: delete what refers to it first."
    return (
        f"More than {most} resources refer to what is to be deleted, directly or by way of "
        "others, so nothing was deleted. Delete some of them first."
    )
