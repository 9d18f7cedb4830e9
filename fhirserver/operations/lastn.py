"""$lastn: the most recent observations of each code.

https://hl7.org/fhir/R4/observation-operation-lastn.html. Codes are the same if they share a
coding, also by way of others; text counts where there is no coding. Observations of the time
of the last one that is given are given too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fhirserver.errors import Invalid
from fhirserver.interactions.bundle import Entry, Link, bundle, full_url
from fhirserver.interactions.codes import with_codes
from fhirserver.interactions.context import Context
from fhirserver.interactions.page import address, query_string
from fhirserver.interactions.request import Answer, Pairs, Request
from fhirserver.model.json import Json, Resource, decode
from fhirserver.model.temporal import interval
from fhirserver.operations.arguments import arguments
from fhirserver.operations.walk import matches
from fhirserver.search.codes import Codes
from fhirserver.search.compile import compile_criteria
from fhirserver.search.expression import Expression, Query
from fhirserver.store.port import Version

URL = "http://hl7.org/fhir/OperationDefinition/Observation-lastn"

_MOST = 10_000  # observations that are looked at
_SUBJECTS = frozenset({"patient", "subject"})
_NAME_END = re.compile(r"[:.]")


class Dated(NamedTuple):
    """An observation and its time (microseconds; None: it has none)."""

    version: Version
    resource: Resource
    time: int | None


async def run(context: Context, request: Request) -> Answer:
    """200 with a searchset, most recent first.

    Raises `Invalid` without a subject or what to group, and `TooCostly`.
    """
    given = arguments(context, request, URL, searches=True)
    _check_selective(given.search)
    now = context.now()

    def compile(codes: Codes) -> Expression:
        return compile_criteria(
            context.definitions,
            "Observation",
            given.search,
            now=now,
            base_url=request.base,
            codes=codes,
        )

    where = await with_codes(context, compile)
    found = await matches(context, Query(("Observation",), where), _MOST)
    chosen = last(map(_dated, found), given.one("max") or 1)
    entries = [
        Entry(full_url(request.base, item.version), item.version.body, "match") for item in chosen
    ]
    pairs = (*given.pairs(), *given.search)
    link = Link("self", address(request.base, "Observation/$lastn") + query_string(pairs))
    return Answer(200, bundle("searchset", entries, total=len(entries), links=[link]))


def last(observations: Iterable[Dated], most: int) -> list[Dated]:
    """The `most` most recent of each code, and those as recent as the last of these."""
    ordered = sorted(observations, key=_recency)
    chosen: list[Dated] = []
    for group in _groups([item.resource.get("code") for item in ordered]):
        members = [ordered[index] for index in group]
        chosen += members[:most]
        chosen += (
            item
            for item in members[most:]
            if item.time is not None and item.time == members[most - 1].time
        )
    return sorted(chosen, key=_recency)


def _recency(item: Dated) -> tuple[bool, int, str]:
    return item.time is None, -(item.time or 0), item.version.id


def _check_selective(pairs: Pairs) -> None:
    names = {_NAME_END.split(name, maxsplit=1)[0] for name, _ in pairs}
    if not names & _SUBJECTS:
        raise Invalid("Say whose observations are meant: give patient or subject.")
    if not any(name == "category" or "code" in name for name in names):
        raise Invalid("Say what observations are meant: give category or code.")


def _dated(version: Version) -> Dated:
    resource = decode(version.body or b"{}")
    return Dated(version, resource, effective(resource))


def effective(observation: Resource) -> int | None:
    """When an observation is from, in microseconds since 1970: the beginning of a period."""
    period = observation.get("effectivePeriod", {})
    text = (
        observation.get("effectiveDateTime")
        or observation.get("effectiveInstant")
        or period.get("start")
        or period.get("end")
        or next(iter(observation.get("effectiveTiming", {}).get("event", ())), None)
    )
    return interval(text).start if isinstance(text, str) else None


def _groups(codes: Sequence[Json]) -> list[list[int]]:
    """The indexes of the codes that are the same, in the order of the first of each group."""
    leader: dict[object, int] = {}
    parent = list(range(len(codes)))

    def find(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for index, code in enumerate(codes):
        for name in _names(code if isinstance(code, dict) else {}):
            other = find(leader.setdefault(name, index))
            mine = find(index)
            parent[max(other, mine)] = min(other, mine)
    groups: dict[int, list[int]] = {}
    for index in range(len(codes)):
        groups.setdefault(find(index), []).append(index)
    return list(groups.values())


def _names(code: Mapping[str, Json]) -> list[object]:
    codings = [
        (item.get("system"), item.get("code"))
        for item in code.get("coding", ())
        if item.get("code") is not None
    ]
    return list(codings) or [code.get("text")]
