"""Partial dates are intervals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.errors import Invalid
from fhirserver.model.temporal import DAY, MAX_INSTANT, SECOND, format_instant, interval

EXACT = {
    "1970": (0, 365 * DAY),
    "1970-02": (31 * DAY, 59 * DAY),
    "1972-02-29": (789 * DAY, 790 * DAY),
    "1970-01-01T00:01": (60 * SECOND, 120 * SECOND),
    "1970-01-01T00:00:01Z": (SECOND, 2 * SECOND),
    "1970-01-01T02:00:00+02:00": (0, SECOND),
    "1969-12-31T19:00:00.5-05:00": (500_000, 600_000),
    "1970-01-01T00:00:00.1234567Z": (123_456, 123_457),
    "1998-12-31T23:59:60Z": (915_148_800 * SECOND, 915_148_801 * SECOND),
}


@pytest.mark.parametrize(("text", "bounds"), EXACT.items())
def test_bounds(text: str, bounds: tuple[int, int]) -> None:
    assert interval(text) == bounds


def test_the_last_year_ends_at_the_end_of_time() -> None:
    assert interval("9999").end == interval("9999-12").end == MAX_INSTANT
    assert interval("9999-12-31").end == MAX_INSTANT


@pytest.mark.parametrize(
    "text",
    ["", "20", "2020-13", "2021-02-29", "2020-1-1", "2020-01-01T24:00:00Z", "2020-01-01T10:61Z",
     "2020-01-01T10:00:00+15:00", "2020-01-01 10:00", "0000", "２０２０", "2020-01-01T10", "x"],
)  # fmt: skip
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        interval(text)


@given(st.datetimes(timezones=st.just(None)).filter(lambda moment: moment.year > 1000))
def test_an_instant_lies_in_its_day_and_month_and_year(moment: object) -> None:
    text = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment:%f}Z"
    instant = interval(text)
    for length in (10, 7, 4):
        wider = interval(text[:length])
        assert wider.start <= instant.start < instant.end <= wider.end


@given(st.integers(-(10**15), 10**15))
def test_format_and_interval_agree_to_the_millisecond(microseconds: int) -> None:
    text = format_instant(microseconds)
    assert len(text) == 24
    assert interval(text).start == microseconds // 1000 * 1000
