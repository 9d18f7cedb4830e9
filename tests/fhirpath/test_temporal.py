from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.fhirpath.temporal import (
    Date,
    DateTime,
    Temporal,
    Time,
    compare,
    of_datetime,
    of_python,
    parse_date,
    parse_date_time,
    parse_time,
)

# A small pool, so that values often share their first fields.
YEARS = st.sampled_from([1, 1973, 2012, 2016, 9999])
MONTHS = st.sampled_from([1, 2, 12])
DAYS = st.sampled_from([1, 28])
CLOCKS = st.sampled_from([(0,), (10,), (10, 0), (10, 30), (23, 59)])
SECONDS = st.sampled_from([Decimal(0), Decimal("0.0"), Decimal("30.5"), Decimal("59.999")])
ZONES = st.sampled_from(["", "Z", "+00:00", "+02:00", "-05:30", "+14:00"])
PARTIAL_DAYS = st.tuples(YEARS, MONTHS, DAYS).flatmap(
    lambda day: st.integers(1, 3).map(lambda count: day[:count])
)
DATES = PARTIAL_DAYS.map(Date)


@st.composite
def date_times(draw: st.DrawFn) -> DateTime:
    day = draw(PARTIAL_DAYS)
    if len(day) < 3 or draw(st.booleans()):
        return DateTime(day)
    clock = draw(CLOCKS)
    second = draw(st.none() | SECONDS) if len(clock) == 2 else None
    return DateTime(day + clock, second, draw(ZONES))


@st.composite
def times(draw: st.DrawFn) -> Time:
    clock = draw(CLOCKS)
    return Time(clock, draw(st.none() | SECONDS) if len(clock) == 2 else None)


MOMENTS = DATES | date_times()
NAIVE = st.datetimes(datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2100-01-01"))


@pytest.mark.parametrize(
    "text", ["2012", "2012-02", "2012-02-29", "0001-01-01", "9999-12-31", "2000-02-29"]
)
def test_dates_are_read_and_written(text: str) -> None:
    assert str(parse_date(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "12", "2012-13", "2012-2", "2012-02-30", "1900-02-29", "0000", "2012-02-01T", "२०१२"],
)
def test_what_is_no_date_of_the_calendar_is_none(text: str) -> None:
    assert parse_date(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "2012",
        "2012-02-01T10",
        "2012-02-01T10:30",
        "2012-02-01T10:30:00",
        "2012-02-01T10:30:00.000+10:00",
        "2012-02-01T10:30:60Z",
        "2012-02-01T10:30-12:00",
        "2012-02-01T23:59:59.123456",
    ],
)
def test_date_times_are_read_and_written(text: str) -> None:
    assert str(parse_date_time(text)) == text


@pytest.mark.parametrize(
    "text",
    ["2012-02T10", "2012-02-01T24", "2012-02-01T10:60", "2012-02-01T10:30:61", "2012-02-01Z",
     "2012-02-01T10:30:00+15:00", "2012-02-01T10:30:00+10", "2012-02-01 10:30"],
)  # fmt: skip
def test_what_is_no_date_time_is_none(text: str) -> None:
    assert parse_date_time(text) is None


@given(times())
def test_times_are_read_and_written(value: Time) -> None:
    assert parse_time(str(value)) == value


@given(date_times())
def test_any_date_time_is_read_as_written(value: DateTime) -> None:
    assert parse_date_time(str(value)) == value


@pytest.mark.parametrize(
    ("left", "right", "order"),
    [
        ("2012", "2013", -1),
        ("2012-01", "2012", None),
        ("2012-01", "2013", -1),
        ("2012-01-01T10:30", "2012-01-01T10:30:00", None),
        ("2012-01-01T10:30:31.0", "2012-01-01T10:30:31", 0),
        ("2012-01-01T10:30:31.1", "2012-01-01T10:30:31", 1),
        ("2017-11-05T01:30:00.0-04:00", "2017-11-05T00:30:00.0-05:00", 0),
        ("2017-11-05T01:30:00.0-04:00", "2017-11-05T01:15:00.0-05:00", -1),
        ("2012-01-01T10:00:00Z", "2012-01-01T10:00:00+00:00", 0),
        # Without a zone, anything from +14:00 to -12:00 may be meant.
        ("2012-04-15T15:00:00Z", "2012-04-15T10:00:00", None),
        ("2012-04-15T15:00:00Z", "2012-04-17T10:00:00", -1),
        ("2012-04-17T15:00:00Z", "2012-04-15T10:00:00", 1),
        ("2012-04-15T10Z", "2012-04-15T10:30+00:00", None),
        ("2012-04-15T10Z", "2012-04-15T13:30+02:00", -1),
        # A day has no zone.
        ("2012-04-15", "2012-04-15T10:00:00Z", None),
        ("2012-04-14", "2012-04-15T10:00:00Z", -1),
    ],
)
def test_order(left: str, right: str, order: int | None) -> None:
    ours, theirs = parse_date_time(left), parse_date_time(right)
    assert ours is not None
    assert theirs is not None
    assert compare(ours, theirs) == order
    assert compare(theirs, ours) == (None if order is None else -order)


@given(MOMENTS, MOMENTS)
def test_order_is_antisymmetric(left: Temporal, right: Temporal) -> None:
    there, back = compare(left, right), compare(right, left)
    assert there == (None if back is None else -back)


@given(MOMENTS)
def test_a_moment_equals_itself(value: Temporal) -> None:
    assert compare(value, value) == 0


@given(MOMENTS, MOMENTS, MOMENTS)
def test_order_is_transitive(one: Temporal, two: Temporal, three: Temporal) -> None:
    if any(len(moment.fields) <= 3 for moment in (one, two, three)):
        # A day is compared by its fields whatever the zone of the other.
        one, two, three = (type(m)(m.fields, m.second) for m in (one, two, three))
    if compare(one, two) == -1 and compare(two, three) == -1:
        assert compare(one, three) == -1


@given(
    NAIVE,
    NAIVE,
    st.sampled_from([0, 330, -720, 840]),
    st.sampled_from([0, 330, -720, 840]),
)
def test_zoned_order_is_that_of_python(
    left: datetime, right: datetime, ours: int, theirs: int
) -> None:
    one = left.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=ours)))
    two = right.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=theirs)))
    assert compare(of_datetime(one), of_datetime(two)) == (one > two) - (one < two)


def test_python_values() -> None:
    assert of_python(date(2012, 2, 1)) == Date((2012, 2, 1))
    assert of_python(time(10, 30)) == Time((10, 30), Decimal("0"))
    moment = datetime(2012, 2, 1, 10, 30, 5, 123000, UTC)
    assert str(of_python(moment)) == "2012-02-01T10:30:05.123Z"
