"""read: the current version of a resource.

https://hl7.org/fhir/R4/http.html#read and #cread (conditional read).
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from fhirserver.errors import Gone, Invalid, NotFound
from fhirserver.interactions.contention import names
from fhirserver.interactions.context import Context
from fhirserver.interactions.parameters import check_parameters, single
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import decode, encode
from fhirserver.search.request import Summary
from fhirserver.search.shape import shaped
from fhirserver.store.port import Version


async def run(context: Context, request: Request) -> Answer:
    """200 with the resource, or 304 when the caller has it.

    Raises `NotFound` where there never was one, `Gone` with its ETag where it was deleted.
    """
    type, id = request.type, request.id
    assert type is not None and id is not None
    version = await context.store.read(type, id)
    if version is None:
        raise NotFound(f"There is no {type}/{id}.")
    return answer(context, request, version)


def answer(context: Context, request: Request, version: Version) -> Answer:
    """The answer that shows a version, or the part of it that `_summary`, `_elements` ask for.

    Raises `Gone` for a deletion.
    """
    body = _part(context, request, version) if request.parameters else version.body
    if body is None:
        raise Gone(
            f"{version.type}/{version.id} was deleted.",
            headers={"ETag": f'W/"{version.version}"'},
        )
    unchanged = (
        request.if_none_match is not None or request.if_modified_since is not None
    ) and _has_it(request, version)
    return Answer(
        304 if unchanged else 200,
        None if unchanged else body,
        version.type,
        version.id,
        version.version,
        version.last_updated,
    )


def _part(context: Context, request: Request, version: Version) -> bytes | None:
    check_parameters(request, ("_summary", "_elements"))
    summary, elements = single(request, "_summary"), single(request, "_elements")
    if summary not in _SUMMARIES:
        raise Invalid(f"_summary is one of {', '.join(filter(None, _SUMMARIES))} here.")
    if version.body is None or not (_SUMMARIES[summary] or elements):
        return version.body
    names = elements.split(",") if elements else ()
    return encode(shaped(context.definitions, decode(version.body), _SUMMARIES[summary], names))


_SUMMARIES: Final[Mapping[str | None, Summary | None]] = {
    None: None,
    "false": None,
    "true": "true",
    "text": "text",
    "data": "data",
}


def _has_it(request: Request, version: Version) -> bool:
    # RFC 7232, 6: If-Modified-Since counts only without If-None-Match.
    if request.if_none_match is not None:
        return names(request.if_none_match, version)
    try:
        since = parsedate_to_datetime(request.if_modified_since or "")
    except ValueError:
        return False
    return version.last_updated // 1_000_000 <= int(since.timestamp())
