"""$subsumes: how two codes of one system relate.

https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
"""

from __future__ import annotations

from fhirserver.errors import Invalid
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.operations.arguments import Arguments, arguments
from fhirserver.operations.parameters import Out, parameters
from fhirserver.operations.terminology.asking import ask, instance, system_asked
from fhirserver.terminology.environment import Environment
from fhirserver.terminology.lookup import Subsumption, subsumption
from fhirserver.terminology.parameters import MORE, REPEATED

URL = "http://hl7.org/fhir/OperationDefinition/CodeSystem-subsumes"


async def run(context: Context, request: Request) -> Answer:
    """200 with the outcome. Raises `NotFound` for an unknown code or code system."""
    given = arguments(context, request, URL, more=MORE, repeated=REPEATED)
    called_on = await instance(context, request)
    system, version, code_a, code_b = _codes(given)
    if called_on is not None:
        system, version = called_on.get("url"), called_on.get("version")
    if not system:
        raise Invalid("Say of which code system the codes are: give system.")
    url = system

    def question(environment: Environment) -> Subsumption:
        return subsumption(environment.system(url, version), code_a, code_b)

    return parameters(Out("outcome", "valueCode", await ask(context, given, question)))


def _codes(given: Arguments) -> tuple[str | None, str | None, str, str]:
    system, version, code_a = system_asked(given, "codeA", "codingA")
    other, other_version, code_b = system_asked(given, "codeB", "codingB")
    if not code_a or not code_b:
        raise Invalid("Give two codes: codeA and codeB, or codingA and codingB.")
    if system and other and system != other:
        raise Invalid("The codes are of two systems: only codes of one can be compared.")
    return system or other, version or other_version, code_a, code_b
