"""$find-matches: the concepts that have certain properties.

https://hl7.org/fhir/R4/codesystem-operation-find-matches.html. Expressions are not composed:
a match is a concept of the code system.
"""

from __future__ import annotations

from typing import Any

from fhirserver.errors import Invalid
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import encode
from fhirserver.operations.arguments import Arguments, arguments
from fhirserver.operations.terminology.asking import ask, instance
from fhirserver.terminology.concept import Concept, text_of, value_of
from fhirserver.terminology.environment import Environment
from fhirserver.terminology.lookup import find_matches
from fhirserver.terminology.parameters import MORE, REPEATED

URL = "http://hl7.org/fhir/OperationDefinition/CodeSystem-find-matches"


async def run(context: Context, request: Request) -> Answer:
    """200 with at most 100 matches, the fullest first."""
    given = arguments(context, request, URL, more=MORE, repeated=REPEATED)
    called_on = await instance(context, request)
    url, version = given.one("system"), given.one("version")
    if called_on is not None:
        url, version = called_on.get("url"), called_on.get("version")
    if not url:
        raise Invalid("Say in which code system to look: give system.")
    asked = _properties(given)
    exact = given.one("exact")

    def question(environment: Environment) -> list[dict[str, Any]]:
        system = environment.system(url, version)
        found = find_matches(system, asked, exact=exact)
        return [_match(url, system.info.version, *item) for item in found]

    body = {"resourceType": "Parameters"}
    matches = await ask(context, given, question)
    return Answer(200, encode(body | ({"parameter": matches} if matches else {})))


def _properties(given: Arguments) -> list[tuple[str, str]]:
    asked = []
    for parts in given.all("property"):
        named = {part.get("name"): value_of(part) for part in parts}
        if "subproperty" in named:
            raise Invalid(
                "No code system here has properties of properties: leave subproperty out."
            )
        if named.get("code") is None or named.get("value") is None:
            raise Invalid("Each property has a code and a value.")
        asked.append((text_of(named["code"]), text_of(named["value"])))
    if not asked:
        raise Invalid("Say by which properties to look: give property.")
    return asked


def _match(
    url: str, version: str | None, concept: Concept, lacking: list[tuple[str, str]]
) -> dict[str, Any]:
    coding = {"system": url} | ({"version": version} if version else {})
    coding["code"] = concept.code
    if concept.display:
        coding["display"] = concept.display
    parts: list[dict[str, Any]] = [{"name": "code", "valueCoding": coding}]
    parts += (
        {
            "name": "unmatched",
            "part": [{"name": "code", "valueCode": code}, {"name": "value", "valueString": value}],
        }
        for code, value in lacking
    )
    return {"name": "match", "part": parts}
