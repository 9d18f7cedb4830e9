"""vread: one version of a resource.

https://hl7.org/fhir/R4/http.html#vread
"""

from __future__ import annotations

from fhirserver.errors import NotFound
from fhirserver.interactions import read
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request

_MAX_DIGITS = 18


async def run(context: Context, request: Request) -> Answer:
    """200 with that version, or 304 when the caller has it.

    Raises `NotFound` where there is no such version, `Gone` where it is a deletion.
    """
    type, id, number = request.type, request.id, request.version
    assert type is not None and id is not None and number is not None
    version = None
    if number.isascii() and number.isdigit() and number[0] != "0" and len(number) <= _MAX_DIGITS:
        version = await context.store.read(type, id, int(number))
    if version is None:
        raise NotFound(f"There is no version '{number}' of {type}/{id}.")
    return read.answer(context, request, version)
