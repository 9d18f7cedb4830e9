"""What a projection may change of an ImagingStudy that others write to as well.

What the archive alone knows (`OURS`) is the projection's. Of every other element it changes what
is still as it last wrote it; what somebody else changed, added or took away stays so. In lists
this holds item by item. A study that somebody announced (`registered`) is what the archive says.
"""

from __future__ import annotations

from typing import Final

from fhirserver.model.json import Json, Resource

OURS: Final = frozenset(
    {"resourceType", "modality", "numberOfSeries", "numberOfInstances", "series"}
)
_ANNOUNCED: Final = ("status", "registered")
_THEIRS: Final = frozenset({"id", "meta", "text", "contained", "implicitRules", "language"})


def merged(last: Resource, now: Resource, present: Resource) -> Resource:
    """`present` with what changed from `last` (written by the projection) to `now`."""
    found = dict(present)
    for name in sorted({*last, *now, *OURS} - _THEIRS):
        value = _element(name, last.get(name), now.get(name), present.get(name))
        if value is None:
            found.pop(name, None)
        else:
            found[name] = value
    return found


def _element(name: str, last: Json, now: Json, present: Json) -> Json:
    if name in OURS or present == last or (name, present) == _ANNOUNCED:
        return now
    if isinstance(present, list) or (present is None and isinstance(now, list)):
        return _items(last or [], now or [], present or [])
    return present


def _items(last: list[Json], now: list[Json], present: list[Json]) -> list[Json] | None:
    gone = [item for item in last if item not in now]
    more = [item for item in now if item not in last and item not in present]
    return [*(item for item in present if item not in gone), *more] or None
