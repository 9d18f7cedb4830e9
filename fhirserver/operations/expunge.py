"""$expunge: versions taken out of the store for good.

No operation of FHIR R4; the parameters are those that HAPI FHIR made known. What is current
is deleted first, by the rules of every deletion, and then taken out as what is deleted is: so
a call that is cut off leaves nothing half done, and the next one goes on.
"""

from __future__ import annotations

from dataclasses import replace

from fhirserver.errors import Conflict, Invalid, NotFound
from fhirserver.interactions.commit import carry_out
from fhirserver.interactions.context import Context
from fhirserver.interactions.plan import Plan, Target, removed
from fhirserver.interactions.request import Answer, Request
from fhirserver.operations.arguments import arguments
from fhirserver.operations.parameters import Out, parameters
from fhirserver.search.expression import (
    EVERYTHING,
    And,
    Expression,
    Not,
    Query,
    ReferenceIs,
    TypeIs,
)
from fhirserver.search.expression import Target as Referred
from fhirserver.store.port import Expectation, Expunge

URL = "urn:uuid:5d0c9c3e-3b0f-4c0b-9f5e-7c1d9a2f6b41"

_USUAL = 1000
_MOST = 10_000
_NAMED = 10  # so many referrers are told
_PAGE = 200  # so many bodies are in memory at once
_TOGETHER = 200  # so many targets are looked for by one search


async def run(context: Context, request: Request) -> Answer:
    """200 with the number of versions that went: less than `limit` once all are gone.

    Raises `NotFound` for an instance that never was, `Invalid` where nothing is asked for,
    `Conflict` for what others refer to.
    """
    given = arguments(context, request, URL)
    limit = given.one("limit")
    limit = _USUAL if limit is None else limit
    if not 1 <= limit <= _MOST:
        raise Invalid(f"limit is a number of versions from 1 to {_MOST}.")
    everything = bool(given.one("expungeEverything"))
    what = Expunge(
        request.type,
        request.id,
        previous=everything or bool(given.one("expungePreviousVersions")),
        deleted=everything or bool(given.one("expungeDeletedResources")),
        limit=limit,
    )
    if not (what.previous or what.deleted):
        raise Invalid(
            "Say what is to go: expungeDeletedResources, expungePreviousVersions or "
            "expungeEverything."
        )
    if request.id is not None and await context.store.read(request.type or "", request.id) is None:
        raise NotFound(f"There is no {request.type}/{request.id}, and there never was.")
    if everything:
        await _delete(context, request, limit)
    return parameters(Out("count", "valueInteger", await context.store.expunge(what)))


async def _delete(context: Context, request: Request, limit: int) -> None:
    """Deletes what is current, `limit` resources at the most.

    What refers to others of the same scope goes as well, if not now then by a later call; so
    it does not stand in the way.
    """
    rules = context.policy if request.id else replace(context.policy, integrity_on_delete=False)

    async def plan() -> Plan:
        chosen = await _chosen(context, request, limit)
        return Plan(tuple(map(removed, chosen)), await _unreferred(context, request, chosen))

    await carry_out(replace(context, policy=rules), request, plan)


async def _unreferred(
    context: Context, request: Request, chosen: tuple[Target, ...]
) -> tuple[Expectation, ...]:
    """That no other type refers to those of a type. Raises `Conflict` where one does."""
    if request.type is None or request.id is not None or not context.policy.integrity_on_delete:
        return ()
    after: tuple[Expectation, ...] = ()
    others = Not(TypeIs((request.type,)))
    for start in range(0, len(chosen), _TOGETHER):
        some = tuple(Referred(one.type, one.id) for one in chosen[start : start + _TOGETHER])
        who: Expression = And((ReferenceIs(None, some), others))
        page = await context.store.search(Query((), who, count=_NAMED))
        if page.versions:
            names = ", ".join(f"{version.type}/{version.id}" for version in page.versions)
            raise Conflict(
                f"Resources of other types refer to what is to be expunged, among them {names}. "
                "Delete or change these first."
            )
        after += (Expectation((), who, ()),)
    return after


async def _chosen(context: Context, request: Request, limit: int) -> tuple[Target, ...]:
    type, id = request.type, request.id
    if type is not None and id is not None:
        return (Target(type, id, await context.store.read(type, id)),)
    chosen: list[Target] = []
    query: Query | None = Query((type,) if type else (), EVERYTHING)
    while query is not None and len(chosen) < limit:
        count = min(_PAGE, limit - len(chosen))
        page = await context.store.search(replace(query, count=count))
        chosen += (
            Target(version.type, version.id, version._replace(body=b""))  # all at once are many
            for version in page.versions
        )
        query = replace(query, after=page.next) if page.next is not None else None
    return tuple(chosen)
