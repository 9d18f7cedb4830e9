"""$match: which patients may be the one that is described, how surely, and why.

https://hl7.org/fhir/R4/patient-operation-match.html. Candidates are those who share an
identifier, a telephone number or e-mail address, or two of family name, given name and date of
birth; `match_score` tells how well each of them matches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import NamedTuple

from fhirserver.errors import Invalid
from fhirserver.interactions.bundle import full_url
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Pairs, Request
from fhirserver.model.json import Json, Resource, decode, encode
from fhirserver.model.outcome import Issue, operation_outcome
from fhirserver.operations.arguments import arguments
from fhirserver.operations.match_score import Score, score
from fhirserver.operations.walk import matches
from fhirserver.search.compile import compile_criteria
from fhirserver.search.escape import escape
from fhirserver.search.expression import Or, Query
from fhirserver.store.port import Version
from fhirserver.validation import validate

URL = "http://hl7.org/fhir/OperationDefinition/Patient-match"

_MOST = 5000  # candidates that are looked at
_COUNT = 20
_GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"


class _Found(NamedTuple):
    version: Version
    resource: Resource
    score: Score


async def run(context: Context, request: Request) -> Answer:
    """200 with a searchset, the best match first, and an outcome that explains the scores.

    Raises `Invalid` where too little is known to look for, and `TooCostly`.
    """
    given = arguments(context, request, URL)
    wanted = given.one("resource")
    count = _COUNT if given.one("count") is None else given.one("count")
    if count < 1:
        raise Invalid("count is 1 or more.")
    if wanted.get("resourceType") != "Patient":
        raise Invalid("resource is a Patient, whole or in part.", expression="resourceType")
    issues = [issue for issue in validate(wanted, (), context.definitions) if issue.is_error]
    if issues:
        raise Invalid("The patient that is looked for is malformed.", issues=issues)
    found = await _found(context, request, wanted)
    notes = [_note(item) for item in found[:count]]
    if given.one("onlyCertainMatches"):
        certain = [item for item in found if item.score.grade == "certain"]
        if len(certain) > 1:
            text = f"{len(certain)} patients match with certainty, so none is returned."
            notes = [Issue("warning", "multiple-matches", "", text)]
            certain = []
        found = certain
    if not found and not notes:
        notes = [Issue("information", "informational", "", "No patient matches.")]
    return Answer(200, encode(_searchset(request.base, found[:count], notes)))


async def _found(context: Context, request: Request, wanted: Resource) -> list[_Found]:
    blocks = [
        compile_criteria(
            context.definitions, "Patient", pairs, now=context.now(), base_url=request.base
        )
        for pairs in _blocks(wanted)
    ]
    if not blocks:
        raise Invalid(
            "This is too little to look for a patient by: give an identifier, a telephone number "
            "or e-mail address, or two of family name, given name and birthDate."
        )
    found = []
    for version in await matches(context, Query(("Patient",), Or(tuple(blocks))), _MOST):
        resource = decode(version.body or b"{}")
        scored = score(wanted, resource)
        if scored.grade:
            found.append(_Found(version, resource, scored))
    return sorted(found, key=lambda item: (-item.score.value, item.version.id))


def _blocks(wanted: Resource) -> Iterator[Pairs]:
    """The searches by which candidates are found."""
    for identifier in wanted.get("identifier", ()):
        if identifier.get("value"):
            system = escape(identifier.get("system", ""))
            yield (("identifier", f"{system}|{escape(identifier['value'])}"),)
    for contact in wanted.get("telecom", ()):
        if contact.get("system") in ("phone", "sms", "email") and contact.get("value"):
            yield (("telecom", escape(contact["value"])),)
    names: dict[str, str] = {}
    families = _texts(item.get("family") for item in wanted.get("name", ()))
    givens = _texts(text for item in wanted.get("name", ()) for text in item.get("given", ()))
    if families:
        names["family"] = families
    if givens:
        names["given"] = givens
    if wanted.get("birthDate"):
        names["birthdate"] = wanted["birthDate"]
    yield from combinations(names.items(), 2)


def _texts(values: Iterable[Json]) -> str:
    return ",".join(dict.fromkeys(escape(value) for value in values if value))


def _note(item: _Found) -> Issue:
    text = f"Patient/{item.version.id} {item.score.reason}"
    return Issue("information", "informational", "", text)


def _searchset(base: str, found: list[_Found], notes: list[Issue]) -> Resource:
    entries: list[Mapping[str, Json]] = [
        {
            "fullUrl": full_url(base, item.version),
            "resource": item.resource,
            "search": {
                "extension": [{"url": _GRADE, "valueCode": item.score.grade}],
                "mode": "match",
                "score": item.score.value,
            },
        }
        for item in found
    ]
    if notes:
        entries.append({"resource": operation_outcome(notes), "search": {"mode": "outcome"}})
    return {"resourceType": "Bundle", "type": "searchset", "total": len(found)} | (
        {"entry": entries} if entries else {}
    )
