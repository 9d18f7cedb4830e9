"""$versions: the versions of FHIR that the server speaks.

https://hl7.org/fhir/R4/capabilitystatement-operation-versions.html
"""

from __future__ import annotations

from typing import Final

from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.operations.arguments import arguments
from fhirserver.operations.parameters import Out, parameters

URL = "http://hl7.org/fhir/OperationDefinition/CapabilityStatement-versions"
_VERSION: Final = "4.0"


async def run(context: Context, request: Request) -> Answer:
    """200 with the one version that there is."""
    arguments(context, request, URL)
    return parameters(Out("version", "valueCode", _VERSION), Out("default", "valueCode", _VERSION))
