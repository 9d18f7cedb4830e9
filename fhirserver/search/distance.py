"""Distances on the earth: the great circle between two positions.

The earth is the sphere of its mean radius (IUGG), which is right to half a per cent. Degrees
are of WGS84, north and east positive.
"""

from __future__ import annotations

from math import asin, atan2, cos, degrees, hypot, pi, radians, sin
from typing import NamedTuple

RADIUS = 6_371_008.8  # metres
_SLACK = 1e-7  # degrees by which bounds are widened, far more than arithmetic is off


def distance(latitude: float, longitude: float, other: float, beside: float) -> float:
    """Metres between two positions, each a latitude and a longitude.

    By the formula of Vincenty for a sphere, which is right for near and for opposite places.
    """
    north, south = radians(latitude), radians(other)
    across = radians(beside - longitude)
    sideways = cos(south) * sin(across)
    along = cos(north) * sin(south) - sin(north) * cos(south) * cos(across)
    straight = sin(north) * sin(south) + cos(north) * cos(south) * cos(across)
    return RADIUS * atan2(hypot(sideways, along), straight)


def normal_longitude(longitude: float) -> float:
    """The same meridian in [-180, 180)."""
    return (longitude + 180.0) % 360.0 - 180.0


class Bounds(NamedTuple):
    """What holds everything within a distance: latitudes, and one or two ranges of longitude."""

    south: float
    north: float
    longitudes: tuple[tuple[float, float], ...]


_ALL_AROUND = ((-180.0, 180.0),)


def bounds(latitude: float, longitude: float, metres: float) -> Bounds:
    """The bounds of the circle around a position; across the 180th meridian in two ranges."""
    angle = metres / RADIUS
    south = latitude - degrees(angle) - _SLACK
    north = latitude + degrees(angle) + _SLACK
    if south <= -90.0 or north >= 90.0 or angle >= pi / 2:
        return Bounds(max(south, -90.0), min(north, 90.0), _ALL_AROUND)
    width = degrees(asin(min(1.0, sin(angle) / cos(radians(latitude))))) + _SLACK
    west, east = longitude - width, longitude + width
    if east - west >= 360.0:
        return Bounds(south, north, _ALL_AROUND)
    if west < -180.0:
        return Bounds(south, north, ((west + 360.0, 180.0), (-180.0, east)))
    if east > 180.0:
        return Bounds(south, north, ((west, 180.0), (-180.0, east - 360.0)))
    return Bounds(south, north, ((west, east),))
