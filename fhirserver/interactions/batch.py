"""batch: independent requests in one Bundle.

https://hl7.org/fhir/R4/http.html#brules. Each entry passes the gate by itself; one that is
refused changes nothing for the others.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable
from dataclasses import replace

from fhirserver.errors import Fault, FhirError, Unprocessable
from fhirserver.interactions.bundle import Entry, bundle
from fhirserver.interactions.bundle_entry import (
    BundleEntry,
    entries_of,
    envelope_issues,
    located,
    read_entry,
)
from fhirserver.interactions.bundle_response import refused_entry, response_entry
from fhirserver.interactions.context import Context
from fhirserver.interactions.parameters import check_parameters
from fhirserver.interactions.request import Answer, Request
from fhirserver.interactions.route import bundle_interaction
from fhirserver.model.json import Resource
from fhirserver.model.outcome import Issue

_LOG = logging.getLogger("fhirserver.interactions")
_TOGETHER = 16  # entries that are under way at once
_ENTRY = re.compile(r"Bundle\.entry\[(\d+)\]")
_STEPS = (("DELETE",), ("POST",), ("PUT", "PATCH"), ("GET", "HEAD"))


async def run(context: Context, request: Request) -> Answer:
    """200 with a batch-response, in the order of the request, whatever becomes of its entries."""
    check_parameters(request)
    bundle_interaction(request.resource)
    assert request.resource is not None
    results: dict[int, Entry] = {}
    readable: list[BundleEntry] = []
    malformed = _malformed(context, request.resource)
    for index, item in enumerate(entries_of(context, request.resource)):
        try:
            if index in malformed:
                raise Unprocessable("The entry is malformed.", issues=malformed[index])
            readable.append(read_entry(context, request, index, item))
        except FhirError as error:
            known = index in malformed
            results[index] = refused_entry(error if known else located(error, index))
    limit = asyncio.Semaphore(_TOGETHER)
    for verbs in _STEPS:
        queues = _queues(entry for entry in readable if entry.verb in verbs)
        for done in await asyncio.gather(*(_processed(context, queue, limit) for queue in queues)):
            results |= done
    entries = [results[index] for index in range(len(results))]
    return Answer(200, bundle("batch-response", entries, timestamp=context.now()))


def _malformed(context: Context, bundle: Resource) -> dict[int, list[Issue]]:
    """The findings about each entry. Raises `Unprocessable` for those about the Bundle itself."""
    found: dict[int, list[Issue]] = {}
    issues = envelope_issues(context, bundle)
    for issue in issues:
        place = _ENTRY.match(issue.expression)
        if place is None:
            raise Unprocessable("The Bundle breaks the rules of FHIR R4.", issues=issues)
        found.setdefault(int(place[1]), []).append(issue)
    return found


def _queues(entries: Iterable[BundleEntry]) -> list[list[BundleEntry]]:
    """Entries that may meet in one resource, one after the other, in the request's order."""
    queues: dict[object, list[BundleEntry]] = {}
    for entry in entries:
        asked = entry.request
        if entry.verb in ("GET", "HEAD") or (entry.verb == "POST" and asked.if_none_exist is None):
            place: object = entry.index
        else:
            place = (asked.type, asked.id)
        queues.setdefault(place, []).append(entry)
    return list(queues.values())


async def _processed(
    context: Context, queue: list[BundleEntry], limit: asyncio.Semaphore
) -> dict[int, Entry]:
    results = {}
    for entry in queue:
        async with limit:
            results[entry.index] = await _result(context, entry)
    return results


async def _result(context: Context, entry: BundleEntry) -> Entry:
    try:
        answer = await context.dispatch(replace(entry.request, prefer=None))
    except FhirError as error:
        return refused_entry(located(error, entry.index))
    except Exception as error:  # noqa: BLE001 - one entry's failure is not the others'; logged
        _LOG.error("batch entry failed: %s in %s", type(error).__name__, entry.request.interaction)
        return refused_entry(located(Fault("The server failed on this entry."), entry.index))
    return response_entry(entry, answer)
