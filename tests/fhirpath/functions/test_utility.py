from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from fhirserver.fhirpath import (
    FhirPathExecutionError,
    compile,  # noqa: A004 - as in re
    evaluate,
)

NOW = datetime(2026, 2, 25, 14, 31, 39, 96_500, timezone(timedelta(hours=11)))


def test_the_time_is_that_of_the_caller() -> None:
    assert evaluate({}, "now()", {"now": NOW}) == ["2026-02-25T14:31:39.096+11:00"]
    assert evaluate({}, "today()", {"now": NOW}) == ["2026-02-25"]
    assert evaluate({}, "timeOfDay()", {"now": NOW}) == ["14:31:39.096"]
    assert evaluate({}, "now() + 1 hour", {"now": NOW}) == ["2026-02-25T15:31:39.096+11:00"]
    naive = {"now": NOW.replace(tzinfo=None)}
    assert evaluate({}, "now()", naive) == ["2026-02-25T14:31:39.096Z"]


def test_the_time_is_current_by_default_and_the_same_throughout() -> None:
    before = datetime.now(UTC)
    (found,) = evaluate({}, "now()")
    assert abs(datetime.fromisoformat(found) - before) < timedelta(minutes=1)
    assert evaluate({}, "now() = now() and timeOfDay() = timeOfDay()") == [True]


def test_a_compiled_expression_has_no_clock_of_its_own() -> None:
    with pytest.raises(FhirPathExecutionError, match="time is not available"):
        compile("now()").evaluate({})


def test_now_may_be_an_ordinary_variable() -> None:
    assert evaluate({}, "%now", {"now": 5}) == [5]


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("yearOf()", 2012), ("monthOf()", 1), ("dayOf()", 2), ("hourOf()", 12), ("minuteOf()", 30),
        ("secondOf()", 40), ("millisecondOf()", 2), ("timezoneOffsetOf()", -7.5),
        ("dateOf()", "2012-01-02"), ("timeOf()", "12:30:40.002"),
    ],
)  # fmt: skip
def test_components(expression: str, result: object) -> None:
    assert evaluate({}, f"@2012-01-02T12:30:40.002-07:30.{expression}") == [result]


@pytest.mark.parametrize(
    "expression",
    ["@2012.monthOf()", "@T10.yearOf()", "@2012.hourOf()", "@T10.minuteOf()", "'a'.secondOf()",
     "@2012-01-01.timeOf()", "@2012-01-01T10:30.timezoneOffsetOf()", "{}.dateOf()", "1.dateOf()"],
)  # fmt: skip
def test_components_that_are_not_there(expression: str) -> None:
    assert evaluate({}, expression) == []


def test_components_of_a_time() -> None:
    parts = "hourOf() | minuteOf() | secondOf() | millisecondOf()"
    assert evaluate({}, f"@T10:30:05.250.select({parts})") == [10, 30, 5, 250]
