"""Which orders may have a scheduled procedure step that matches, found by indexes.

A step is told of by a Task, an Appointment or the order itself (`dicom.worklist.entry`). Each key
of a step leads to all orders of which any of these says so, or more; the entries are matched
afterwards. Of several keys the first leads that finds few enough.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import date, timedelta
from typing import Any, Final, TypeAlias

from fhirserver.access.grant import SERVER
from fhirserver.definitions.registry import Definitions
from fhirserver.dicom.matching import Exactly, Item, Key, Range
from fhirserver.dicom.worklist.entry import DCM, NO_MODALITY, OPEN_TASKS
from fhirserver.dicom.worklist.parameters import (
    DETAIL,
    PARAMETERS,
    START,
    STATION,
    STEP_MODALITY,
)
from fhirserver.errors import FhirError, PreconditionFailed, TooCostly
from fhirserver.interactions.request import Answer, Pairs, Request
from fhirserver.model.json import Resource
from fhirserver.model.reference import own
from fhirserver.search.escape import escape

Search: TypeAlias = Callable[[str, Pairs], Awaitable[list[Resource]]]
"""The resources of a type that match. Raises `TooCostly` for too many."""

_LOG: Final = logging.getLogger("fhirserver.imaging")
_STEPS: Final = "00400100"
_MODALITY: Final = "00080060"
_STATION: Final = "00400001"
_DATE: Final = "00400002"
_ORDER: Final = "ServiceRequest"
_OPEN: Final = ("status", ",".join(OPEN_TASKS))
_USED: Final = (("Task", START), ("Task", STATION), ("Task", STEP_MODALITY), (_ORDER, DETAIL))


async def keep_parameters(dispatch: Callable[[Request], Awaitable[Answer]], base: str) -> None:
    """Puts the SearchParameters that worklists are searched by into a store that has none.

    One that somebody changed or retired stays so; where they cannot be kept, worklists are
    searched without them.
    """
    for parameter in PARAMETERS:
        write = Request(
            "update",
            base,
            "SearchParameter",
            parameter["id"],
            resource=parameter,
            if_none_match="*",
            grant=SERVER,
        )
        try:
            await dispatch(write)
        except PreconditionFailed:
            continue
        except FhirError as error:
            _LOG.warning("worklists are searched without indexes: %s", type(error).__name__)
            return


class Planned:
    """`base` is that of the server, `active` narrows orders to those of worklists, `asking` is
    the AE title of who asks."""

    def __init__(self, search: Search, base: str, active: Pairs, asking: str) -> None:
        self._search = search
        self._base = base
        self._active = active
        self._asking = asking

    async def orders(self, keys: Iterable[Key], definitions: Definitions) -> set[str] | None:
        """The ids of the orders that may match; None where no key tells, or the parameters that
        it takes are not in effect (yet)."""
        if not all(_works(definitions, type, code) for type, code in _USED):
            return None
        conditions = {
            inner.tag: inner.condition
            for key in keys
            if key.tag == _STEPS and isinstance(key.condition, Item)
            for inner in key.condition.keys
        }
        day, station = conditions.get(_DATE), conditions.get(_STATION)
        modality = conditions.get(_MODALITY)
        if isinstance(day, Range) and (found := await self._led(self._by_date, day)) is not None:
            return found
        if isinstance(station, Exactly) and station.value != self._asking:
            found = await self._led(self._by_station, station.value)
            if found is not None:
                return found
        if isinstance(modality, Exactly) and modality.value != NO_MODALITY:
            return await self._led(self._by_modality, modality.value)
        return None

    async def _led(
        self, lead: Callable[[Any], Awaitable[set[str] | None]], value: object
    ) -> set[str] | None:
        try:
            return await lead(value)
        except TooCostly:
            return None

    async def _by_date(self, days: Range) -> set[str] | None:
        """By days, of any time zone."""
        low, high = _day(days.low, -1), _day(days.high, 1)
        if low is None or high is None or not low + high:
            return None
        within = [f"ge{low}"] * bool(low) + [f"le{high}"] * bool(high)
        found = await self._based_on("Task", (_OPEN, *((START, value) for value in within)))
        found |= await self._based_on("Appointment", tuple(("date", value) for value in within))
        for name in ("occurrence", "authored"):
            found |= await self._active_ids(*((name, value) for value in within))
        return found

    async def _by_station(self, title: str) -> set[str]:
        found = await self._based_on("Task", (_OPEN, (STATION, escape(title))))
        for device in await self._search("Device", (("identifier", escape(title)),)):
            reference = f"Device/{device['id']}"
            found |= await self._based_on("Task", (_OPEN, ("owner", reference)))
            found |= await self._based_on("Appointment", (("actor", reference),))
            found |= await self._active_ids(("performer", reference))
        return found

    async def _by_modality(self, code: str) -> set[str]:
        token = f"{DCM}|{escape(code)}"
        found = await self._based_on("Task", (_OPEN, (STEP_MODALITY, token)))
        for name in ("code", DETAIL):
            found |= await self._active_ids((name, token))
        return found

    async def _active_ids(self, *pairs: tuple[str, str]) -> set[str]:
        return {item["id"] for item in await self._search(_ORDER, (*self._active, *pairs))}

    async def _based_on(self, type: str, pairs: Pairs) -> set[str]:
        """The orders that such resources are based on."""
        found = set()
        for resource in await self._search(type, pairs):
            for item in resource.get("basedOn", ()):
                kind, _, id = (own(item.get("reference", ""), self._base) or "").partition("/")
                if kind == _ORDER:
                    found.add(id)
        return found


def _works(definitions: Definitions, type: str, code: str) -> bool:
    """Whether all resources can be found by a parameter of ours."""
    return code in definitions.search_parameters(type) and (type, code) not in definitions.unindexed


def _day(text: str, days: int) -> str | None:
    """A day of DICOM so many days later, as FHIR has it; empty for an open end, None for what is
    no day."""
    if not text:
        return ""
    try:
        return (date.fromisoformat(text) + timedelta(days)).isoformat()
    except (ValueError, OverflowError):
        return None
