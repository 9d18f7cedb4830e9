"""Preconditions on the version of a resource.

https://hl7.org/fhir/R4/http.html#concurrency and RFC 7232. FHIR compares weak entity tags:
`W/"3"` is version 3; a bare `3` is taken as well.
"""

from __future__ import annotations

from fhirserver.errors import PreconditionFailed
from fhirserver.interactions.request import Request
from fhirserver.store.port import Version


def check_write(request: Request, current: Version | None) -> None:
    """Raises `PreconditionFailed` where If-Match or If-None-Match forbids to write over it.

    A resource that was deleted is as absent as one that never was.
    """
    if request.if_match is None and request.if_none_match is None:
        return
    if current is not None and current.body is None:
        current = None
    if request.if_match is not None and not names(request.if_match, current):
        now = f"its current version is {current.version}" if current else "there is none"
        raise PreconditionFailed(
            f"If-Match asks for version {request.if_match} of the resource, but {now}. "
            "Read it again and send your change on top of it."
        )
    if request.if_none_match is not None and names(request.if_none_match, current):
        raise PreconditionFailed("If-None-Match forbids to write over the resource as it stands.")


def names(header: str, current: Version | None) -> bool:
    """Whether an If-Match or If-None-Match header names the current version."""
    if current is None:
        return False
    version = str(current.version)
    for tag in header.split(","):
        text = tag.strip()
        if text == "*" or text.removeprefix("W/").strip('"') == version:
            return True
    return False
