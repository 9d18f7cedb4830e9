"""The deadlines of notices after a breach, case by case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.audit.breach import notices, task_of
from fhirserver.validation import validate

pytestmark = pytest.mark.check("OPS-8")
MORNING = datetime(2026, 11, 20, 8, tzinfo=UTC)


def due(discovered: datetime, affected: int, **states: int) -> dict[str, str]:
    return {one.to: f"{one.until:%Y-%m-%d %H:%M}" for one in notices(discovered, affected, states)}


@pytest.mark.parametrize(
    ("affected", "states", "expected"),
    [
        (1, {"MA": 1}, {"Secretary of HHS": "2027-03-01 08:00"}),
        (499, {}, {"Secretary of HHS": "2027-03-01 08:00"}),
        (500, {"MA": 500}, {"Secretary of HHS": "2027-01-19 08:00"}),
        (
            501,
            {"MA": 501},
            {"Secretary of HHS": "2027-01-19 08:00", "media in MA": "2027-01-19 08:00"},
        ),
        (1200, {"MA": 400, "NH": 300, "VT": 500}, {"Secretary of HHS": "2027-01-19 08:00"}),
    ],
)
def test_who_is_told_until_when(
    affected: int, states: dict[str, int], expected: dict[str, str]
) -> None:
    always = {
        "supervisory authority": "2026-11-23 08:00",
        "people concerned": "2027-01-19 08:00",
    }
    assert due(MORNING, affected, **states) == always | expected


def test_the_year_ends_in_a_leap_year_a_day_earlier() -> None:
    told = due(datetime(2027, 5, 1, tzinfo=UTC), 3)
    assert told["Secretary of HHS"] == "2028-02-29 00:00"


@given(st.integers(0, 20 * 365 * 24 * 60), st.integers(0, 2000))
def test_nothing_is_due_later_than_the_rules_allow(minutes: int, affected: int) -> None:
    moment = MORNING + timedelta(minutes=minutes)
    for one in notices(moment, affected, {"XX": affected}):
        assert moment < one.until
        latest = 366 + 60 if one.to == "Secretary of HHS" and affected < 500 else 60
        assert one.until <= moment + timedelta(days=latest)


def test_the_task_is_valid_and_names_nobody() -> None:
    for one in notices(MORNING, 501, {"MA": 501}):
        task = task_of(one, "laptop", MORNING, 501)
        assert [issue for issue in validate(task) if issue.severity in ("error", "fatal")] == []
        assert task["restriction"]["period"]["end"] > task["restriction"]["period"]["start"]
        assert "for" not in task
