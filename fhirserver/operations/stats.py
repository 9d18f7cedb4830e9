"""$stats: statistics of a subject's measurements.

https://hl7.org/fhir/R4/observation-operation-stats.html. Measurements are quantities with a
UCUM code, without a comparator, of observations and their components that were not entered in
error. Those of different units are not put together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from fhirserver.errors import Invalid, NotSupported, Unprocessable
from fhirserver.interactions.context import Context
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Json, Resource, decode
from fhirserver.model.reference import literal
from fhirserver.model.temporal import MAX_INSTANT, MIN_INSTANT, SECOND, format_instant, interval
from fhirserver.operations.arguments import Arguments, arguments
from fhirserver.operations.parameters import Out, parameters
from fhirserver.operations.statistics import STATISTICS, compute
from fhirserver.operations.walk import matches
from fhirserver.search.compile import compile_criteria
from fhirserver.search.escape import escape
from fhirserver.search.expression import And, DateIs, Expression, Query, TokenIs, TokenValue
from fhirserver.store.port import Key

URL = "http://hl7.org/fhir/OperationDefinition/Observation-stats"

_MOST = 20_000  # observations that are looked at
_UCUM = "http://unitsofmeasure.org"
_CODES = "http://terminology.hl7.org/CodeSystem/observation-statistics"
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_TOTAL = "total-count"
_OFFERED: Final = (*STATISTICS, _TOTAL)
_HOUR = 3600 * SECOND


class _Code(NamedTuple):
    """`system` None: any."""

    system: str | None
    code: str


class _Span(NamedTuple):
    start: int
    end: int


class _Measured(NamedTuple):
    """The values of one code, their unit, and how many observations there were with none."""

    values: list[Decimal]
    unit: str
    without: int


async def run(context: Context, request: Request) -> Answer:
    """200 with Parameters: an Observation of statistics for each code, and the sources.

    Raises `Invalid`, `NotSupported` for a statistic that is not offered, `Unprocessable` where
    units differ, and `TooCostly`.
    """
    given = arguments(context, request, URL)
    codes = _codes(given)
    asked = list(dict.fromkeys(part for text in given.all("statistic") for part in text.split(",")))
    for code in asked:
        if code not in _OFFERED:
            raise NotSupported(f"'{code[:64]}' is not offered: ask for {', '.join(_OFFERED)}.")
    span = _span(context, given)
    where = _where(context, request, given, codes, span)
    found = [
        decode(version.body or b"{}")
        for version in await matches(context, Query(("Observation",), where), _MOST)
    ]
    sources = [item for item in found if item.get("status") != "entered-in-error"]
    told: dict[_Code, Resource] = {}
    for code in codes:
        panel = await _panel(context, request, sources, code)
        for measured in _measurements(panel, code) or [code]:
            figures = _measured(panel or sources, measured)
            told.setdefault(measured, _told(given, measured, span, asked, figures))
    outs = [Out("statistics", "resource", item) for item in told.values()]
    if given.one("include"):
        outs += (Out("source", "resource", item) for item in sources[: given.one("limit")])
    return parameters(*outs)


def _codes(given: Arguments) -> list[_Code]:
    system = given.one("system")
    codes = [_Code(system, part) for text in given.all("code") for part in text.split(",")]
    for coding in given.all("coding"):
        if "code" not in coding:
            raise Invalid("Give each coding its code.")
        codes.append(_Code(coding.get("system"), coding["code"]))
    if not codes:
        raise Invalid("Say what measurements are meant: give code (and system), or coding.")
    return list(dict.fromkeys(codes))


def _span(context: Context, given: Arguments) -> _Span:
    duration, period = given.one("duration"), given.one("period")
    if duration is not None and period is not None:
        raise Invalid("Give duration or period, not both.")
    if duration is not None:
        hours = Decimal(duration)
        if not 0 < hours < 10_000_000:
            raise Invalid("duration is a number of hours.")
        return _Span(context.now() - int(hours * _HOUR), context.now())
    period = period or {}
    start, end = period.get("start"), period.get("end")
    return _Span(
        interval(start).start if start else MIN_INSTANT,
        interval(end).end if end else MAX_INSTANT,
    )


def _where(
    context: Context, request: Request, given: Arguments, codes: Sequence[_Code], span: _Span
) -> Expression:
    subject = compile_criteria(
        context.definitions,
        "Observation",
        (("subject", escape(given.one("subject"))),),
        now=context.now(),
        base_url=request.base,
    )
    wanted = tuple(TokenValue(code.system, code.code) for code in codes)
    parts: list[Expression] = [subject, TokenIs("combo-code", wanted)]
    if span.start > MIN_INSTANT:
        parts.append(DateIs("date", "gt", span.start, span.start))
    if span.end < MAX_INSTANT:
        parts.append(DateIs("date", "lt", span.end, span.end))
    return And(tuple(parts))


async def _panel(
    context: Context, request: Request, sources: Sequence[Resource], code: _Code
) -> list[Resource]:
    """The panels of a code and the observations that are their members; none if it is measured."""
    panels = [source for source in sources if _has_code(source, code)]
    if not any("component" in panel or "hasMember" in panel for panel in panels) or any(
        "valueQuantity" in panel for panel in panels
    ):
        return []
    keys: dict[Key, None] = {}
    for panel in panels:
        for member in panel.get("hasMember", ()):
            parts = literal(member.get("reference", ""))
            if parts and parts.type == "Observation" and parts.base in ("", request.base):
                keys[Key(parts.type, parts.id)] = None
    found = await context.store.read_many(list(keys)[:_MOST])
    members = (decode(version.body or b"{}") for version in found)
    return panels + [item for item in members if item.get("status") != "entered-in-error"]


def _measurements(panel: Sequence[Resource], code: _Code) -> list[_Code]:
    """The codes of what a panel measures."""
    found: dict[_Code, None] = {}
    for observation in panel:
        own = () if _has_code(observation, code) else (observation,)
        for element in (*own, *observation.get("component", ())):
            for coding in element.get("code", {}).get("coding", ())[:1]:
                if "code" in coding:
                    found[_Code(coding.get("system"), coding["code"])] = None
    return list(found)


def _has_code(element: Resource, code: _Code) -> bool:
    return any(_is(code, coding) for coding in element.get("code", {}).get("coding", ()))


def _measured(sources: Sequence[Resource], code: _Code) -> _Measured:
    values: list[Decimal] = []
    units: dict[str, None] = {}
    without = 0
    for element in _elements(sources, code):
        quantity = element.get("valueQuantity")
        if not isinstance(quantity, dict) or not _is_measured(quantity):
            without += 1
            continue
        values.append(Decimal(quantity["value"]))
        units[quantity["code"]] = None
    if len(units) > 1:
        raise Unprocessable(
            f"The measurements of {code.code} are in different units ({', '.join(units)}): "
            "narrow them down by period, or ask for another code."
        )
    return _Measured(values, next(iter(units), "1"), without)


def _elements(sources: Sequence[Resource], code: _Code) -> Iterator[Resource]:
    for source in sources:
        for element in (source, *source.get("component", ())):
            if _has_code(element, code):
                yield element


def _is(code: _Code, coding: Mapping[str, Json]) -> bool:
    return coding.get("code") == code.code and code.system in (None, coding.get("system"))


def _is_measured(quantity: Mapping[str, Json]) -> bool:
    return (
        quantity.get("system") == _UCUM
        and "code" in quantity
        and "value" in quantity
        and "comparator" not in quantity
    )


def _told(
    given: Arguments, code: _Code, span: _Span, asked: Sequence[str], found: _Measured
) -> Resource:
    coding = (
        {"code": code.code} if code.system is None else {"system": code.system} | code._asdict()
    )
    out: Resource = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [coding]},
        "subject": {"reference": given.one("subject")},
    }
    bounds = {
        name: format_instant(instant)
        for name, instant in (("start", span.start), ("end", span.end))
        if MIN_INSTANT < instant < MAX_INSTANT
    }
    if bounds:
        out["effectivePeriod"] = bounds
    out["component"] = [_component(name, found) for name in asked]
    return out


def _component(name: str, found: _Measured) -> Resource:
    out: Resource = {"code": {"coding": [{"system": _CODES, "code": name}]}}
    if name == _TOTAL:
        return out | {"valueQuantity": _quantity(Decimal(len(found.values) + found.without), "1")}
    statistic = STATISTICS[name]
    value = compute(statistic, found.values)
    if value is None:
        return out | {"dataAbsentReason": {"coding": [{"system": _ABSENT, "code": "unknown"}]}}
    unit = {"same": found.unit, "squared": f"({found.unit})2", "none": "1"}[statistic.unit]
    return out | {"valueQuantity": _quantity(value, unit)}


def _quantity(value: Decimal, unit: str) -> Resource:
    return {"value": value, "unit": unit, "system": _UCUM, "code": unit}
