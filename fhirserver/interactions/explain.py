"""`GET [base]/[type]/__explain?...`: how the store runs a search, and what it costs.

Not of FHIR. The answer is a Parameters resource: figures, and a part for each step. It shows
no resource; the names in it are those of the store's own tables.
"""

from __future__ import annotations

from typing import Any

from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.interactions.search import compiled
from fhirserver.model.json import Resource, encode
from fhirserver.store.port import Explanation


async def run(context: Context, request: Request) -> Answer:
    """200 with Parameters.

    Raises what the search would raise for its parameters or its cost.
    """
    search = await compiled(
        context, request, request.parameters, request.compartment, request.handling, context.now()
    )
    found = await context.store.explain(search.query)
    parameters: Resource = {"resourceType": "Parameters", "parameter": [_part(found)]}
    return Answer(200, encode(parameters))


def _part(step: Explanation) -> dict[str, Any]:
    parts = [
        {"name": name, "valueInteger" if isinstance(value, int) else "valueString": value}
        for name, value in step.figures
    ]
    return {"name": step.name, "part": parts + [_part(inner) for inner in step.steps]}
