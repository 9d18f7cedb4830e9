"""$expand: the concepts of a value set.

https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from fhirserver.errors import Invalid
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Json, Resource, encode
from fhirserver.model.temporal import format_instant
from fhirserver.operations.arguments import Arguments, arguments
from fhirserver.operations.terminology.asking import ask, check_date, languages
from fhirserver.operations.terminology.value_set import asked_for
from fhirserver.terminology.concept import split_canonical
from fhirserver.terminology.contains import Style
from fhirserver.terminology.environment import Environment
from fhirserver.terminology.expansion import Wish, expand
from fhirserver.terminology.parameters import MORE, OF_EXPAND

URL = "http://hl7.org/fhir/OperationDefinition/ValueSet-expand"
_MORE: Final = {**MORE, "excludePostCoordinated": "boolean"}
_ECHOED: Final = {
    "filter": "valueString",
    "date": "valueDateTime",
    "exclude-system": "valueUri",
    "offset": "valueInteger",
    "count": "valueInteger",
    "includeDesignations": "valueBoolean",
    "includeDefinition": "valueBoolean",
    "activeOnly": "valueBoolean",
    "excludeNested": "valueBoolean",
    "excludeNotForUI": "valueBoolean",
    "excludePostCoordinated": "valueBoolean",
    "displayLanguage": "valueCode",
}


async def run(context: Context, request: Request) -> Answer:
    """200 with the ValueSet and its expansion.

    Raises `TooCostly`; `NotFound` for what the value set needs and is not here.
    """
    given = arguments(context, request, URL, more=_MORE, repeated=OF_EXPAND)
    check_date(context, given)
    find = await asked_for(context, request, given)

    def question(environment: Environment) -> Resource:
        value_set = find(environment)
        return expand(environment, value_set, _wish(context, request, given, value_set))

    found = await ask(context, given, question)
    expansion = {
        "identifier": f"urn:uuid:{_uuid(context)}",
        "timestamp": format_instant(context.now()),
    }
    found["expansion"] = expansion | found["expansion"]
    return Answer(200, encode(found))


def _uuid(context: Context) -> str:
    made = context.new_id()
    try:
        return str(UUID(made))
    except ValueError:
        return str(UUID(int=context.now()))


def _wish(context: Context, request: Request, given: Arguments, value_set: Resource) -> Wish:
    offset, count = given.one("offset") or 0, given.one("count")
    if offset < 0 or (count is not None and count < 0):
        raise Invalid("offset and count are not negative.")
    return Wish(
        text=(given.one("filter") or "").strip() or None,
        offset=offset,
        count=None if count is None else min(count, context.policy.max_expansion),
        excluded=frozenset(map(split_canonical, given.all("exclude-system"))),
        active_only=given.one("activeOnly") or False,
        nested=given.one("excludeNested") is False,
        definition=given.one("includeDefinition") or False,
        style=Style(
            languages=languages(request, given, value_set),
            designations=given.one("includeDesignations") or False,
            designation_filters=given.all("designation"),
            properties=given.all("property"),
        ),
        echo=tuple(_echo(given)),
        limit=context.policy.max_expansion,
    )


def _echo(given: Arguments) -> list[tuple[str, str, Json]]:
    return [
        (name, kind, value) for name, kind in sorted(_ECHOED.items()) for value in given.all(name)
    ]
