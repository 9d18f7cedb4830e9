from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from fhirserver.demo.calendar import (
    booked_time,
    last_working_day,
    next_working_day,
    visit_time,
    working_days,
)
from fhirserver.demo.dice import Dice

days = st.dates(date(1950, 1, 1), date(2080, 1, 1))


@given(days)
def test_booked_times_are_all_different_and_on_working_days(today: date) -> None:
    times = [booked_time(turn, today) for turn in range(400)]
    assert len(set(times)) == 400
    assert all(time.weekday() < 5 and time.date() >= today and time.hour < 12 for time in times)


@given(days)
def test_the_nearest_working_days_frame_a_weekend(day: date) -> None:
    before, after = last_working_day(day), next_working_day(day)
    assert before <= day <= after
    assert before.weekday() < 5 and after.weekday() < 5
    assert after - before in (timedelta(0), timedelta(3))


@given(days, st.integers())
def test_visits_begin_in_opening_hours(day: date, seed: int) -> None:
    start = visit_time(day, Dice(seed))
    assert start.weekday() < 5 and 8 <= start.hour <= 16


def test_working_days_leave_out_weekends() -> None:
    friday = date(2026, 11, 20)
    assert working_days(friday, 3) == [friday, date(2026, 11, 23), date(2026, 11, 24)]
