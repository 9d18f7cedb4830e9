"""The line and column of what is told of a resource, in the text that was sent.

Found only when there is something to tell: the text is then read again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any, Final

from fhirserver.errors import FhirError
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Resource, decode, encode
from fhirserver.model.json_position import Position, Steps, json_positions
from fhirserver.model.outcome import issues_of, position_extensions
from fhirserver.rest.negotiation import JSON_TYPES, XML_TYPES, body_type
from fhirserver.validation.location import steps_to
from fhirserver.xml.position import xml_positions

_LONGEST: Final = 1 << 20  # bytes; reading more again would hold others up
_VALIDATE: Final = "$validate"
_OUTCOME: Final = "OperationOutcome"


def tells_places(request: Request) -> bool:
    """Whether an answer to the request, if it is not refused, tells of what was sent."""
    return request.interaction == _VALIDATE or request.prefer == _OUTCOME


def placed_refusal(
    error: FhirError, request: Request, body: bytes, content_type: bytes | None
) -> None:
    """Gives the issues of a refusal their positions."""
    issues = issues_of(error)
    expressions = {issue.expression for issue in issues}
    found = _positions(expressions, request.resource, body, content_type)
    if found:
        error.issues = tuple(
            replace(issue, position=found.get(issue.expression)) for issue in issues
        )


def placed_answer(
    answer: Answer, request: Request, body: bytes, content_type: bytes | None
) -> Answer:
    """The answer with the positions of its issues, if it is an OperationOutcome."""
    outcome: Any = decode(answer.body) if answer.body else {}
    if outcome.get("resourceType") != _OUTCOME:
        return answer
    expressions = {place for issue in outcome["issue"] for place in issue.get("expression", ())}
    found = _positions(expressions, request.resource, body, content_type)
    if not found:
        return answer
    return replace(answer, body=encode(outcome | {"issue": [*_placed(outcome["issue"], found)]}))


def _placed(issues: list[Resource], found: dict[str, Position]) -> Iterator[Resource]:
    for issue in issues:
        position = next((found[x] for x in issue.get("expression", ()) if x in found), None)
        if position is None:
            yield issue
        else:
            extensions = [*issue.get("extension", ()), *position_extensions(position)]
            yield {"extension": extensions} | issue | {"extension": extensions}


def _positions(
    expressions: Collection[str],
    resource: Resource | None,
    body: bytes,
    content_type: bytes | None,
) -> dict[str, Position]:
    """Where the places of some expressions are in a body, of those that are in it."""
    if resource is None or not body or len(body) > _LONGEST:
        return {}
    ways = {text: way for text in expressions if (way := _way(resource, text)) is not None}
    if not ways:
        return {}
    kind = body_type(content_type).essence
    if kind in JSON_TYPES:
        found = json_positions(body, ways.values())
    elif kind in XML_TYPES:
        found = xml_positions(body, ways.values())
    else:
        return {}
    return {text: found[way] for text, way in ways.items()}


def _way(resource: Resource, expression: str) -> Steps | None:
    """The way to a place in what was sent; None for a place in something else."""
    type, _, rest = expression.partition(".")
    if not type:
        return None
    place = f".{rest}" if rest else ""
    for holder, before in _holders(resource):
        if holder.get("resourceType") == type:
            return (*before, *steps_to(holder, place))
    return None


def _holders(resource: Resource) -> Iterator[tuple[Resource, Steps]]:
    """What was sent, and of Parameters what is to be validated."""
    yield resource, ()
    parameters = resource.get("parameter")
    if resource.get("resourceType") == "Parameters" and isinstance(parameters, list):
        for index, item in enumerate(parameters):
            if isinstance(item, dict) and item.get("name") == "resource":
                holder = item.get("resource")
                if isinstance(holder, dict):
                    yield holder, ("parameter", index, "resource")
