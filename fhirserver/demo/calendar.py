"""Working days and the times at which patients are seen."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from fhirserver.demo.datatypes import minutes
from fhirserver.demo.dice import Dice

SLOT_MINUTES = 30
BOOKING_DAYS = 20
_MORNING_SLOTS = 8
_SATURDAY = 5


def working_days(first: date, count: int) -> list[date]:
    """So many days from Monday to Friday, from `first` on."""
    out: list[date] = []
    day = first
    while len(out) < count:
        if day.weekday() < _SATURDAY:
            out.append(day)
        day += timedelta(days=1)
    return out


def last_working_day(day: date) -> date:
    """That day, or the Friday before a weekend."""
    return day - timedelta(days=max(0, day.weekday() - _SATURDAY + 1))


def next_working_day(day: date) -> date:
    """That day, or the Monday after a weekend."""
    return day + timedelta(days=7 - day.weekday()) if day.weekday() >= _SATURDAY else day


def visit_time(day: date, dice: Dice) -> datetime:
    """A start between 08:00 and 16:45 on a working day."""
    start = datetime.combine(last_working_day(day), time(8))
    return start + minutes(15 * dice.between(0, 35))


def booked_time(turn: int, today: date) -> datetime:
    """The start of a doctor's appointment number `turn` (from 0); no two are the same.

    The first of each day are filled before the second, over the booking days, mornings only;
    when all are full, the next booking days follow.
    """
    round_, place = divmod(turn, BOOKING_DAYS * _MORNING_SLOTS)
    slot, day = divmod(place, BOOKING_DAYS)
    days = working_days(today, BOOKING_DAYS * (round_ + 1))
    start = datetime.combine(days[round_ * BOOKING_DAYS + day], time(8))
    return start + minutes(SLOT_MINUTES * slot)
