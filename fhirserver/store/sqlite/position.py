"""What lies near a position: a range of the index that holds the circle, then the distance."""

from __future__ import annotations

from fhirserver.search.distance import bounds
from fhirserver.search.expression import Near
from fhirserver.store.sqlite.source import Branch, Source
from fhirserver.store.sqlite.sql import Sql, all_of, any_of, sql


def is_near(near: Near, alias: str) -> Sql:
    """That the position of an index row is within the distance."""
    box = bounds(near.latitude, near.longitude, near.metres)
    latitudes = sql(f"{alias}.latitude>=? AND {alias}.latitude<=?", box.south, box.north)
    longitudes = any_of(
        sql(f"({alias}.longitude>=? AND {alias}.longitude<=?)", *pair) for pair in box.longitudes
    )
    exactly = sql(
        f"distance(?, ?, {alias}.latitude, {alias}.longitude)<=?",
        near.latitude,
        near.longitude,
        near.metres,
    )
    return all_of((latitudes, longitudes, exactly))


def near_source(near: Near, pid: int, alias: str) -> Source:
    """The resources of a parameter that are near, from the latitudes that hold the circle."""
    tables = sql(f"position {alias} INDEXED BY position_value")
    where = all_of((sql(f"{alias}.pid=?", pid), is_near(near, alias)))
    return Source((Branch(tables, f"{alias}.rid", where),))
