"""$translate: the codes that concept maps give for a code.

https://hl7.org/fhir/R4/conceptmap-operation-translate.html
"""

from __future__ import annotations

from typing import Any

from fhirserver.errors import Invalid, NotFound, NotSupported
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Resource, encode
from fhirserver.operations.arguments import Arguments, arguments
from fhirserver.operations.terminology.asking import ask, instance
from fhirserver.terminology.environment import Environment
from fhirserver.terminology.parameters import MORE, REPEATED
from fhirserver.terminology.translate import Asked, Match, translate

URL = "http://hl7.org/fhir/OperationDefinition/ConceptMap-translate"


async def run(context: Context, request: Request) -> Answer:
    """200 with the matches. Raises `NotFound` for an unknown concept map."""
    given = arguments(context, request, URL, more=MORE, repeated=REPEATED)
    if given.all("dependency"):
        raise NotSupported("Dependencies of a mapping are not supported: leave them out.")
    sent = await instance(context, request) or given.one("conceptMap")
    asked = _asked(given)
    url, version = given.one("url"), given.one("conceptMapVersion")

    def question(environment: Environment) -> list[Match]:
        maps = [sent] if sent is not None else _named(environment, url, version)
        return [match for item in asked for match in translate(maps, item)]

    return Answer(200, encode(_parameters(await ask(context, given, question))))


def _named(environment: Environment, url: str | None, version: str | None) -> list[Resource]:
    maps = environment.concept_maps(url)
    if version is not None:
        maps = [item for item in maps if item.get("version") == version]
    if url is not None and not maps:
        raise NotFound(f"There is no ConceptMap with the URL '{url[:200]}'.")
    return maps


def _asked(given: Arguments) -> list[Asked]:
    concept, coding = given.one("codeableConcept"), given.one("coding")
    codings = concept.get("coding", ()) if concept is not None else [coding] if coding else []
    if not codings:
        code, system = given.one("code"), given.one("system")
        if code is None or system is None:
            raise Invalid("Say what to translate: code and system, coding or codeableConcept.")
        codings = [{"system": system, "version": given.one("version"), "code": code}]
    if (
        given.one("target") is None
        and given.one("targetsystem") is None
        and not (given.one("url") or given.one("conceptMap"))
    ):
        raise Invalid("Say into what to translate: give url, target or targetsystem.")
    return [
        Asked(
            item.get("system"),
            item.get("version"),
            item.get("code", ""),
            given.one("source"),
            given.one("target"),
            given.one("targetsystem"),
            given.one("reverse") or False,
        )
        for item in codings
    ]


def _parameters(found: list[Match]) -> Resource:
    result = any(item.is_match for item in found)
    out: list[dict[str, Any]] = [{"name": "result", "valueBoolean": result}]
    if not result:
        out.append({"name": "message", "valueString": "No mapping of the code was found."})
    return {"resourceType": "Parameters", "parameter": [*out, *map(_match, found)]}


def _match(match: Match) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"name": "equivalence", "valueCode": match.equivalence},
        {"name": "concept", "valueCoding": match.concept},
        *match.products,
    ]
    if match.map:
        parts.append({"name": "source", "valueUri": match.map})
    return {"name": "match", "part": parts}
