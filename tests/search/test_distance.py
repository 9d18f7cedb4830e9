"""Distances on the earth, and the bounds that hold a circle."""

from __future__ import annotations

from math import pi

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.search.distance import RADIUS, bounds, distance, normal_longitude

LATITUDES = st.floats(-90, 90) | st.sampled_from([-90.0, -89.9999, 0.0, 89.9999, 90.0])
LONGITUDES = st.floats(-180, 180, exclude_max=True) | st.sampled_from([-180.0, 179.9999, 0.0])
METRES = st.floats(0, 2.1e7) | st.sampled_from([0.0, 1.0, 1e4, pi / 2 * RADIUS, pi * RADIUS])


@pytest.mark.parametrize(
    ("one", "other", "metres"),
    [
        ((0, 0), (0, 90), pi / 2 * RADIUS),
        ((0, 0), (0, 180), pi * RADIUS),
        ((90, 0), (-90, 77), pi * RADIUS),
        ((90, 12), (90, -100), 0),
        ((51.4775, -0.4614), (40.6397, -73.7789), 5_540_000),  # London and New York airports
        ((0, 179.5), (0, -179.5), pi / 180 * RADIUS),
    ],
)
def test_known_distances(
    one: tuple[float, float], other: tuple[float, float], metres: float
) -> None:
    assert distance(*one, *other) == pytest.approx(metres, rel=2e-3, abs=1e-6)
    assert distance(*other, *one) == pytest.approx(distance(*one, *other), abs=1e-6)


@given(LATITUDES, LONGITUDES, METRES, LATITUDES, LONGITUDES)
def test_what_is_within_the_distance_is_within_the_bounds(
    latitude: float, longitude: float, metres: float, other: float, beside: float
) -> None:
    box = bounds(latitude, longitude, metres)
    if distance(latitude, longitude, other, beside) <= metres:
        assert box.south <= other <= box.north
        assert any(west <= beside <= east for west, east in box.longitudes)


@given(LATITUDES, LONGITUDES, st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 2e5))
def test_so_is_what_is_close_by(
    latitude: float, longitude: float, up: float, right: float, metres: float
) -> None:
    other = max(-90.0, min(90.0, latitude + up))
    beside = normal_longitude(longitude + right)
    box = bounds(latitude, longitude, metres)
    if distance(latitude, longitude, other, beside) <= metres:
        assert box.south <= other <= box.north
        assert any(west <= beside <= east for west, east in box.longitudes)


@given(st.floats(-1000, 1000))
def test_a_normal_longitude_is_the_same_meridian(longitude: float) -> None:
    found = normal_longitude(longitude)
    assert -180 <= found < 180 or found == 180
    assert abs((longitude - found + 180) % 360 - 180) < 1e-9
