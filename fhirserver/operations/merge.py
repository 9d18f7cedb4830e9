"""$merge: two records of one patient become one, in one commit.

https://hl7.org/fhir/R5/patient-operation-merge.html, for R4. What refers to the source refers
to the target afterwards; the source stays, inactive, with a link to the target, which gets its
identifiers. References to a version of the source, and those of Provenance and AuditEvent,
which tell what was, stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fhirserver.errors import Invalid, TooCostly, Unprocessable
from fhirserver.interactions.accept import accept
from fhirserver.interactions.commit import carry_out
from fhirserver.interactions.context import Context
from fhirserver.interactions.integrity import selection
from fhirserver.interactions.plan import Plan, Step, Target, written
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Json, Resource, decode
from fhirserver.model.outcome import Issue, operation_outcome
from fhirserver.model.reference import literal, references
from fhirserver.operations.arguments import Arguments, arguments
from fhirserver.operations.current import current
from fhirserver.operations.parameters import Out, parameters
from fhirserver.operations.walk import matches
from fhirserver.search.compile import compile_criteria
from fhirserver.search.escape import escape
from fhirserver.search.expression import And, Expression, Not, Query, ReferenceIs, TypeIs
from fhirserver.search.expression import Target as Referred
from fhirserver.store.port import Expectation, Key, Version

URL = "http://hl7.org/fhir/OperationDefinition/Patient-merge"

_TYPE = "Patient"
_MOST = 5000  # resources that one commit rewrites
_WITNESSES = ("AuditEvent", "Provenance")


class _Pair(NamedTuple):
    """The two records, as they stand."""

    source: Version
    target: Version


async def run(context: Context, request: Request) -> Answer:
    """200 with Parameters: the input, an outcome, and the patient that results.

    With `preview` nothing is written. Raises `Invalid` and `Unprocessable` for patients that
    cannot be merged, `TooCostly` where too many resources refer to the source.
    """
    given = arguments(context, request, URL)
    names = [await _named(context, request, given, side) for side in ("source", "target")]
    made: list[Plan] = []

    async def plan() -> Plan:
        source, target = [await current(context, _TYPE, name) for name in names]
        made.append(await _plan(context, request, given, _Pair(source, target)))
        return made[-1]

    if given.one("preview"):
        await plan()
    else:
        await carry_out(context, request, plan)
    steps = made[-1].steps
    result = steps[0].resource
    if not given.one("preview"):
        result = decode((await current(context, _TYPE, names[1])).body or b"{}")
    others = len(steps) - 2
    done = "would be" if given.one("preview") else "were"
    text = f"Patient/{names[0]} into Patient/{names[1]}: {others} other resources {done} changed."
    issue = Issue("information", "informational", "", text)
    return parameters(
        Out("input", "resource", request.resource),
        Out("outcome", "resource", operation_outcome([issue])),
        Out("result", "resource", result),
    )


async def _named(context: Context, request: Request, given: Arguments, side: str) -> str:
    """The id of the patient that the reference or the identifiers of one side mean."""
    reference = given.one(f"{side}-patient") or {}
    identifiers = [*given.all(f"{side}-patient-identifier")]
    if "identifier" in reference:
        identifiers.append(reference["identifier"])
    url = reference.get("reference")
    if url is None and not identifiers:
        raise Invalid(f"Say who the {side} is: give {side}-patient.")
    named = None
    if url is not None:
        parts = literal(url)
        if parts is None or parts.type != _TYPE or parts.base not in ("", request.base):
            raise Invalid(f"{side}-patient is a reference to a Patient of this server.")
        named = parts.id
    if not identifiers and named is not None:
        return named
    found = await _identified(context, request, side, identifiers)
    if named not in (None, found):
        raise Unprocessable(f"{side}-patient and its identifiers mean different patients.")
    return found


async def _identified(
    context: Context, request: Request, side: str, identifiers: Sequence[Resource]
) -> str:
    """The id of the one patient that has all the identifiers."""
    pairs = tuple(("identifier", _token(side, item)) for item in identifiers)
    where = compile_criteria(
        context.definitions, _TYPE, pairs, now=context.now(), base_url=request.base
    )
    page = await context.store.search(Query((_TYPE,), where, count=2))
    if len(page.versions) != 1:
        many = "several patients" if page.versions else "no patient"
        raise Unprocessable(f"{side}-patient-identifier means {many}: name one patient.")
    return page.versions[0].id


def _token(side: str, identifier: Resource) -> str:
    if not identifier.get("value"):
        raise Invalid(f"{side}-patient-identifier needs a value.")
    return f"{escape(identifier.get('system', ''))}|{escape(identifier['value'])}"


async def _plan(context: Context, request: Request, given: Arguments, pair: _Pair) -> Plan:
    """The target first, then the source, then all that refers to the source."""
    source, target = decode(pair.source.body or b"{}"), decode(pair.target.body or b"{}")
    _check(source, target)
    result = given.one("result-patient")
    if result is None:
        merged = _merged(source, target)
    else:
        merged = await _given(context, request, result, source, target)
    retired = source | {
        "active": False,
        "link": [*source.get("link", ()), _link(target, "replaced-by")],
    }
    key = Key(_TYPE, pair.target.id)
    steps = [
        _step(context, request, pair.target, merged),
        _step(context, request, pair.source, retired),
    ]
    kept = [key, Key(_TYPE, pair.source.id)]
    for version in await _referrers(context, pair.source.id, kept):
        resource = decode(version.body or b"{}")
        if _repoint(resource, request.base, pair):
            steps.append(_step(context, request, version, resource))
        else:
            kept.append(Key(version.type, version.id))
    nobody_else = Expectation((), _refers(pair.source.id, kept), ())
    return Plan(tuple(steps), (nobody_else,))


def _check(source: Resource, target: Resource) -> None:
    if source["id"] == target["id"]:
        raise Unprocessable("Source and target are the same patient.")
    for patient in (source, target):
        if any(link.get("type") == "replaced-by" for link in patient.get("link", ())):
            raise Unprocessable(f"Patient/{patient['id']} was merged already: see its link.")


def _merged(source: Resource, target: Resource) -> Resource:
    have = {_identity(item) for item in target.get("identifier", ())}
    more = [
        item | {"use": "old"}
        for item in source.get("identifier", ())
        if _identity(item) not in have
    ]
    identifiers = [*target.get("identifier", ()), *more]
    return (
        target
        | ({"identifier": identifiers} if identifiers else {})
        | {"link": [*target.get("link", ()), _link(source, "replaces")]}
    )


async def _given(
    context: Context, request: Request, result: Resource, source: Resource, target: Resource
) -> Resource:
    """The patient that the caller wants, if it can be the result."""
    await accept(context, request, _TYPE, result)
    if result.get("id") != target["id"]:
        raise Unprocessable("result-patient has the id of the target.", expression="Patient.id")
    have = {_identity(item) for item in result.get("identifier", ())}
    if any(_identity(item) not in have for item in target.get("identifier", ())):
        raise Unprocessable("result-patient has all identifiers of the target.")
    link = _link(source, "replaces")
    if not any(
        item.get("type") == link["type"]
        and item.get("other", {}).get("reference") == link["other"]["reference"]
        for item in result.get("link", ())
    ):
        raise Unprocessable("result-patient has a link of type replaces to the source.")
    return result


def _identity(identifier: Resource) -> tuple[Json, Json]:
    return identifier.get("system"), identifier.get("value")


def _link(patient: Resource, type: str) -> Resource:
    return {"other": {"reference": f"{_TYPE}/{patient['id']}"}, "type": type}


def _step(context: Context, request: Request, version: Version, resource: Resource) -> Step:
    target = Target(version.type, version.id, version)
    return written(context, request, target, resource, "PUT")


async def _referrers(context: Context, id: str, kept: list[Key]) -> list[Version]:
    try:
        return await matches(context, Query((), _refers(id, kept)), _MOST)
    except TooCostly:
        raise TooCostly(f"More than {_MOST} resources refer to Patient/{id}.") from None


def _refers(id: str, kept: list[Key]) -> Expression:
    """Who refers to the source, but the witnesses and those that are kept as they are."""
    refers = ReferenceIs(None, (Referred(_TYPE, id),))
    return And((refers, Not(TypeIs(_WITNESSES)), Not(selection(kept))))


def _repoint(resource: Resource, base: str, pair: _Pair) -> bool:
    """Makes references to the source ones to the target; whether there were any."""
    found = False
    for holder, _ in references(resource):
        parts = literal(holder["reference"])
        if (
            parts is not None
            and (parts.type, parts.id, parts.version) == (_TYPE, pair.source.id, None)
            and parts.base in ("", base)
        ):
            prefix = f"{parts.base}/" if parts.base else ""
            holder["reference"] = f"{prefix}{_TYPE}/{pair.target.id}"
            found = True
    return found
