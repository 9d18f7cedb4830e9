"""$lookup: the details of a code.

https://hl7.org/fhir/R4/codesystem-operation-lookup.html
"""

from __future__ import annotations

from fhirserver.errors import Invalid
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import encode
from fhirserver.operations.arguments import arguments
from fhirserver.operations.terminology.asking import (
    ask,
    check_date,
    languages,
    system_asked,
)
from fhirserver.terminology.environment import Environment
from fhirserver.terminology.lookup import Part, lookup
from fhirserver.terminology.parameters import MORE, REPEATED

URL = "http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup"


async def run(context: Context, request: Request) -> Answer:
    """200 with Parameters. Raises `NotFound` for an unknown code or code system."""
    given = arguments(context, request, URL, more=MORE, repeated=REPEATED)
    check_date(context, given)
    url, version, code = system_asked(given)
    if not url or not code:
        raise Invalid("Give code and system, or a coding with both.")
    system_url, system_code = url, code
    wanted = given.all("property")
    spoken = languages(request, given)

    def question(environment: Environment) -> list[Part]:
        environment.require_supplements((), (system_url,))
        system = environment.system(system_url, version)
        return lookup(environment, system, system_code, wanted, spoken)

    parts = await ask(context, given, question)
    return Answer(200, encode({"resourceType": "Parameters", "parameter": parts}))
