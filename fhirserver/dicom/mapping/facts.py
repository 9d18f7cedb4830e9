"""What is known of a study: its instances put together, in whatever order they came.

Attributes of patient, study and series should be the same in all instances, and are not always.
The value taken is that of the instance with the least SOP Instance UID which has one, so that
the same instances give the same study (PS3.3 A.1.2 names the levels).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhirserver.dicom.mapping.attributes import Attributes, uid

SERIES_UID: Final = "0020000E"
CLASS_UID: Final = "00080016"
INSTANCE_UID: Final = "00080018"

STUDY_TAGS: Final = frozenset(
    """00080005 00080020 00080030 00080050 00080051 00080090 00080096 00080201 00081030 00081032
    00081060 00081062 00100010 00100020 00100021 00100024 00100030 00100040 00101002 00120062
    0020000D 00200010 00321064 00380010 00380014 00400026 00400027
    00400243 00400275 00401002 0040100A 00401012 00402016
    00402017""".split()  # noqa: SIM905
)
"""What is read of patient and study."""

SERIES_TAGS: Final = frozenset(
    """00080021 00080031 00080060 00080201 00081040 0008103E 00081050 00081052 00081070 00081072
    00082218 00180015 0020000E 00200011 00200060 00400243 00400560""".split()  # noqa: SIM905
)

INSTANCE_TAGS: Final = frozenset(
    """00080008 00080016 00080018 0020000E 00200013 0040A043 00420010 00700080""".split()  # noqa: SIM905
)
MAPPED_TAGS: Final = STUDY_TAGS | SERIES_TAGS | INSTANCE_TAGS
"""All that a projection needs of an instance's header."""


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """A series: what is true of all of it, and its instances by their UIDs."""

    uid: str
    attributes: Attributes
    instances: tuple[Attributes, ...]


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """A study: what is true of all of it, and its series by their UIDs.

    `unnamed` counts instances without UIDs that can be told; they are in no series.
    """

    uid: str
    attributes: Attributes
    series: tuple[SeriesFacts, ...]
    unnamed: int = 0

    @property
    def number_of_instances(self) -> int:
        return self.unnamed + sum(len(series.instances) for series in self.series)


def study_facts(study_uid: str, instances: Iterable[Attributes]) -> StudyFacts:
    """The facts of a study from the headers of its instances. An instance counts once."""
    named: dict[str, Attributes] = {}
    unnamed = 0
    for header in instances:
        key = uid(header, INSTANCE_UID)
        if key and uid(header, SERIES_UID) and uid(header, CLASS_UID):
            named[key] = header
        else:
            unnamed += 1
    ordered = [named[key] for key in sorted(named)]
    by_series: dict[str, list[Attributes]] = {}
    for header in ordered:
        by_series.setdefault(uid(header, SERIES_UID), []).append(header)
    series = tuple(
        SeriesFacts(key, _agreed(found, SERIES_TAGS), tuple(found))
        for key, found in sorted(by_series.items())
    )
    return StudyFacts(study_uid, _agreed(ordered, STUDY_TAGS), series, unnamed)


def _agreed(headers: Iterable[Attributes], tags: frozenset[str]) -> Attributes:
    """The first value of each of these attributes, with the offset of the times beside it."""
    found: dict[str, Any] = {}
    wanted = set(tags)
    for header in headers:
        for tag in [tag for tag in wanted if _has_value(header.get(tag))]:
            found[tag] = header[tag]
            wanted.discard(tag)
        if not wanted:
            break
    return found


def _has_value(element: object) -> bool:
    value = element.get("Value") if isinstance(element, Mapping) else None
    return isinstance(value, list) and any(item not in (None, "", {}) for item in value)
