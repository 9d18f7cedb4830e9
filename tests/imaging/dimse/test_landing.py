"""Buffers that data sets land in."""

from __future__ import annotations

from fhirserver.imaging.dimse.landing import LARGE, MOST_LARGE, SMALL, Landings


def test_buffers_are_used_again() -> None:
    landings = Landings()
    first = landings.take()
    first[:3] = b"abc"
    landings.give_back(first)
    assert landings.take() is first


def test_large_ones_are_few() -> None:
    landings = Landings()
    taken = [landings.take() for _ in range(MOST_LARGE + 3)]
    assert [len(one) for one in taken] == [LARGE] * MOST_LARGE + [SMALL] * 3
    for one in taken:
        landings.give_back(one)
    again = [landings.take() for _ in range(MOST_LARGE + 3)]
    assert {id(one) for one in again} == {id(one) for one in taken}
    assert len(landings.take()) == SMALL
