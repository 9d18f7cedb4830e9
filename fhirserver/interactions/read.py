"""read: the current version of a resource.

https://hl7.org/fhir/R4/http.html#read and #cread (conditional read).
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from fhirserver.errors import Gone, NotFound
from fhirserver.interactions.contention import names
from fhirserver.interactions.context import Context
from fhirserver.interactions.parameters import check_parameters
from fhirserver.interactions.request import Answer, Request
from fhirserver.store.port import Version


async def run(context: Context, request: Request) -> Answer:
    """200 with the resource, or 304 when the caller has it.

    Raises `NotFound` where there never was one, `Gone` with its ETag where it was deleted.
    """
    type, id = request.type, request.id
    assert type is not None and id is not None
    if request.parameters:
        check_parameters(request)
    version = await context.store.read(type, id)
    if version is None:
        raise NotFound(f"There is no {type}/{id}.")
    return answer(request, version)


def answer(request: Request, version: Version) -> Answer:
    """The answer that shows a version. Raises `Gone` for a deletion."""
    if version.body is None:
        raise Gone(
            f"{version.type}/{version.id} was deleted.",
            headers={"ETag": f'W/"{version.version}"'},
        )
    unchanged = (
        request.if_none_match is not None or request.if_modified_since is not None
    ) and _has_it(request, version)
    return Answer(
        304 if unchanged else 200,
        None if unchanged else version.body,
        version.type,
        version.id,
        version.version,
        version.last_updated,
    )


def _has_it(request: Request, version: Version) -> bool:
    # RFC 7232, 6: If-Modified-Since counts only without If-None-Match.
    if request.if_none_match is not None:
        return names(request.if_none_match, version)
    try:
        since = parsedate_to_datetime(request.if_modified_since or "")
    except ValueError:
        return False
    return version.last_updated // 1_000_000 <= int(since.timestamp())
