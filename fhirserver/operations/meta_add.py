"""$meta-add: adds profiles, tags and security labels to a resource.

https://hl7.org/fhir/R4/resource-operation-meta-add.html
"""

from __future__ import annotations

from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.operations.labels import added
from fhirserver.operations.meta_write import relabelled

URL = "http://hl7.org/fhir/OperationDefinition/Resource-meta-add"


async def run(context: Context, request: Request) -> Answer:
    """200 with the resulting meta; see `relabelled`."""
    return await relabelled(context, request, URL, added)
