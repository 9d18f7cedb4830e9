"""Which order is meant by its numbers: accession number, placer's and filler's order number.

Numbers are asked for one after the other until one order is left. What they do not tell apart,
or contradict each other about, is nobody's to decide here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from fhirserver.dicom.mapping.issuers import Number, Requested
from fhirserver.model.json import Resource
from fhirserver.search.escape import escape

Search: TypeAlias = Callable[[str, str], Awaitable[list[Resource]]]
"""The ServiceRequests that a search parameter (its name, its value) finds."""

_TYPES: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"
_ACCESSION: Final = "ACSN"


async def orders_of(search: Search, requested: Requested) -> list[Resource]:
    """The order in a list; empty where there is none, all that it may be where that is open.

    An accession number is an order's by any type of its identifier, as orders tell it in many
    ways; a placer's or filler's number only by its own type.
    """
    found: list[Resource] = []
    for number in requested.numbers:
        matching = await _matching(search, number)
        if not matching:
            continue
        ids = {one["id"] for one in matching}
        both = [one for one in found if one["id"] in ids] if found else matching
        if not both:
            return [*found, *matching]
        found = both
        if len(found) == 1:
            break
    return found


async def _matching(search: Search, number: Number) -> list[Resource]:
    value = escape(number.value)
    if number.type == _ACCESSION:
        system = f"{escape(number.system)}|" if number.system else ""
        return await search("identifier", f"{system}{value}")
    found = await search("identifier:of-type", f"{_TYPES}|{number.type}|{value}")
    return [one for one in found if not number.system or _is_issued(one, number)]


def _is_issued(order: Resource, number: Number) -> bool:
    """Whether the order has the number by that issuer."""
    return any(
        item.get("system") == number.system and item.get("value") == number.value
        for item in order.get("identifier", ())
    )
