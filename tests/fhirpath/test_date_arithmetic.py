from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.fhirpath import evaluate
from fhirserver.fhirpath.date_arithmetic import shift
from fhirserver.fhirpath.errors import FhirPathExecutionError
from fhirserver.fhirpath.quantity import CALENDAR, Quantity
from fhirserver.fhirpath.temporal import Date, DateTime, Time, of_datetime


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("@1973-12-25 + 7 days", "1974-01-01"),
        ("@1973-12-25 + 7.9 days", "1974-01-01"),
        ("@2019-03-01 + 24 months", "2021-03-01"),
        ("@2026-01-31 + 1 month", "2026-02-28"),
        ("@2024-02-29 + 1 year", "2025-02-28"),
        ("@2024-02-29 - 4 years", "2020-02-29"),
        ("@2016-01-31 - 1 month", "2015-12-31"),
        ("@2014 + 24 months", "2016"),
        ("@2014 + 23 months", "2015"),
        ("@2014 + 364 days", "2014"),
        ("@2014 + 365 days", "2015"),
        ("@2014-01 + 30 days", "2014-02"),
        ("@2014-01-01 + 25 hours", "2014-01-02"),
        ("@2014-01-01T10 + 90 minutes", "2014-01-01T11"),
        ("@2014-01-01T23:30 + 30 minutes", "2014-01-02T00:00"),
        ("@2014-01-01T00:00:00 - 1 second", "2013-12-31T23:59:59"),
        ("@2014-01-01T00:00:00.000Z + 1500 milliseconds", "2014-01-01T00:00:01.500Z"),
        ("@2014-01-01T00:00:00.000+10:00 + 0.1 's'", "2014-01-01T00:00:00.100+10:00"),
        ("@T23:30:00 + 1 hour", "00:30:00"),
        ("@T00:15 - 30 minutes", "23:45"),
        ("@2014-01-01 + 1 'wk'", "2014-01-08"),
        ("@2014-01-01 + 1 'month'", "2014-02-01"),
    ],
)
def test_examples(expression: str, result: str) -> None:
    assert evaluate({}, expression) == [result]


@pytest.mark.parametrize(
    "expression",
    [
        "@2014-01-01 + 1 'mo'",
        "@2014-01-01 + 1 'a'",
        "@2014-01-01 + 1 'cm'",
        "@2014-01-01 + 1",
        "@T10:30 + 1 day",
        "@9999-12-31 + 1 day",
        "@0001-01-01 - 1 year",
        "@2014 + 999999999999999999 years",
        "@2014-01-01 + 99999999999 days",
        "1 day + @2014-01-01",
    ],
)
def test_refusals(expression: str) -> None:
    with pytest.raises(FhirPathExecutionError):
        evaluate({}, expression)


DAYS = st.dates(date(1900, 1, 1), date(2100, 1, 1))
MOMENTS = st.datetimes(datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2100-01-01"))


@given(DAYS, st.integers(-20_000, 20_000))
def test_days_are_those_of_python(day: date, count: int) -> None:
    found = shift(Date((day.year, day.month, day.day)), Quantity(Decimal(count), "d"), 1)
    assert str(found) == (day + timedelta(days=count)).isoformat()


@given(MOMENTS, st.integers(-(10**9), 10**9))
def test_milliseconds_are_those_of_python(moment: datetime, count: int) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    found = shift(of_datetime(moment), Quantity(Decimal(count), "millisecond", CALENDAR), 1)
    assert found == of_datetime(moment + timedelta(milliseconds=count))


@given(MOMENTS, st.sampled_from(["hour", "minute", "second"]), st.integers(-(10**6), 10**6))
def test_adding_and_subtracting_undo_each_other(moment: datetime, unit: str, count: int) -> None:
    start = of_datetime(moment)
    by = Quantity(Decimal(count), unit, CALENDAR)
    assert shift(shift(start, by, 1), by, -1) == start


@given(DAYS, st.integers(-1000, 1000))
def test_months_keep_the_day_or_end_the_month(day: date, count: int) -> None:
    found = shift(
        Date((day.year, day.month, day.day)), Quantity(Decimal(count), "month", CALENDAR), 1
    )
    year, month, last = found.fields
    assert (year * 12 + month) - (day.year * 12 + day.month) == count
    next_day = shift(found, Quantity(Decimal(1), "d"), 1)
    assert last == day.day or (last < day.day and next_day.fields[2] == 1)


def test_the_type_and_zone_stay() -> None:
    by = Quantity(Decimal(1), "h")
    assert shift(Time((10,)), by, 1) == Time((11,))
    assert shift(DateTime((2014, 1, 1, 10), None, "+02:00"), by, 1) == DateTime(
        (2014, 1, 1, 11), None, "+02:00"
    )
