"""Date parameters: everything that is a time or lasts.

https://hl7.org/fhir/R4/search.html#date. Both sides are intervals: a partial date covers all
it may mean, a Period from the start of its start to the end of its end.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from fhirserver.errors import Invalid
from fhirserver.model.temporal import ALWAYS, MAX_INSTANT, MIN_INSTANT, Interval, interval
from fhirserver.search.entry import Date
from fhirserver.search.escape import unescape
from fhirserver.search.expression import DateIs, Expression, Or
from fhirserver.search.parameter import Convert, Knowledge, Parameter, ParameterType, Values
from fhirserver.search.prefix import COMPARATORS, split_prefix


def _interval(value: Any) -> Interval | None:
    return _of_text(value) if value.__class__ is str else None


@lru_cache(maxsize=4096)  # what belongs to one visit has the same times
def _of_text(text: str) -> Interval | None:
    try:
        return interval(text)
    except Invalid:
        return None


def _date(value: Any) -> Iterable[Date]:
    found = _interval(value)
    return (Date(*found),) if found else ()


def _period(value: Any) -> Iterable[Date]:
    found = _bounds(value)
    return (found,) if found else ()


def _bounds(value: Any) -> Date | None:
    start, end = _interval(value.get("start")), _interval(value.get("end"))
    if start is None and end is None:
        return None
    first = start.start if start else ALWAYS.start
    return Date(first, max(end.end if end else ALWAYS.end, first + 1))


def _timing(value: Any) -> Iterable[Date]:
    """The outer limits alone, as R4 says: the schedule within them is not looked at."""
    found = [Date(*found) for item in value.get("event") or () if (found := _interval(item))]
    bounds = _bounds((value.get("repeat") or {}).get("boundsPeriod") or {})
    if bounds:
        found.append(bounds)
    if not found:
        return ()
    return (Date(min(item.start for item in found), max(item.end for item in found)),)


_CONVERT: dict[str, Convert] = {
    "date": _date,
    "dateTime": _date,
    "instant": _date,
    "Period": _period,
    "Timing": _timing,
    "string": _date,
}


def date_search(parameter: Parameter, _: str, values: Values, knowledge: Knowledge) -> Expression:
    """What finds the dates that compare with one of the values, each with its own prefix."""
    found = tuple(_compared(parameter, unescape(value), knowledge.now) for value in values)
    return found[0] if len(found) == 1 else Or(found)


def _compared(parameter: Parameter, text: str, now: int) -> DateIs:
    comparator, rest = split_prefix(parameter, text)
    # A plus sign that was not percent-encoded arrives as a space.
    start, end = interval(rest.replace(" ", "+"))
    if comparator == "ap":
        # https://hl7.org/fhir/R4/search.html#prefix: a tenth of the gap between now and the date
        margin = max(start - now, now - end, 0) // 10
        start, end = max(start - margin, MIN_INSTANT), min(end + margin, MAX_INSTANT)
    return DateIs(parameter.code, comparator, start, end)


DATE = ParameterType(convert=_CONVERT, modifiers={"": date_search}, comparators=COMPARATORS)
