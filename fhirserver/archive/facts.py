"""What the archive reads from an instance's header: what is told of each level, and found by."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from fhirserver.archive.port import Instance
from fhirserver.dicom.matching.match import groups_of, text_of
from fhirserver.dicom.matching.moments import bounds
from fhirserver.dicom.matching.names import folded_group, words_of
from fhirserver.errors import Invalid

_PATIENT: Final = ("00100010", "00100020", "00100021", "00100030", "00100040")
_STUDY: Final = (
    *("00080020", "00080030", "00080050", "00080051", "00080090", "00080201", "00081030"),
    "00200010",
)
_SERIES: Final = (
    *("00080060", "0008103E", "00180015", "00200011", "00400244", "00400245", "00400275"),
)
_INSTANCE: Final = ("00080008", "00200013", "00280008", "00280010", "00280011", "00280100")
_TAGS: Final = (*_PATIENT, *_STUDY, *_SERIES, *_INSTANCE)

_Elements: Final = msgspec.defstruct(
    "_Elements",
    [(f"t{tag}", msgspec.Raw, msgspec.Raw(b"")) for tag in _TAGS],
    rename={f"t{tag}": tag for tag in _TAGS},
    gc=False,
)
_DECODER: Final = msgspec.json.Decoder(_Elements)


class _Element(msgspec.Struct, gc=False):
    value: list[Any] = msgspec.field(name="Value", default_factory=list)


_ELEMENT: Final = msgspec.json.Decoder(_Element)


INDEXED: Final = frozenset(_TAGS) | {
    *("0020000D", "0020000E", "00080016", "00080018"),
    *("00080061", "00201206", "00201208", "00201209"),
}
"""Attributes of which rows tell: others are in headers only."""

_BELOW_SERIES: Final = frozenset(_INSTANCE) | {"00080016", "00080018"}
BELOW: Final = (
    _BELOW_SERIES | frozenset(_SERIES) | {"0020000E", "00201209"},
    _BELOW_SERIES,
    frozenset[str](),
)
"""Attributes below studies, series and instances: asked of these, they are those of the instance
that stands for them."""


class StudyFacts(NamedTuple):
    """Of a study: two parts of JSON objects without braces, and what it is found by.

    `date`, `time` and `birth_date` are digits, empty where there is none; `names` are the folded
    component groups of the patient's name, `words` its words, `referrer` the groups of the
    referrer's.
    """

    patient: bytes
    study: bytes
    patient_id: str
    issuer: str
    birth_date: str
    sex: str
    date: str
    time: str
    accession: str
    study_id: str
    names: tuple[str, ...]
    words: tuple[str, ...]
    referrer: tuple[str, ...]


class SeriesFacts(NamedTuple):
    """Of a series."""

    series: bytes
    modality: str
    number: int | None


class InstanceFacts(NamedTuple):
    """Of an instance."""

    instance: bytes
    number: int | None


class Facts:
    """The header of an instance, read as far as is asked. Raises `Invalid` for no DICOM JSON."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._found: Any = read(instance.header)

    def instance(self) -> InstanceFacts:
        one = self._instance
        uids = _uid("00080016", one.sop_class) + b"," + _uid("00080018", one.instance)
        return InstanceFacts(
            _joined(uids, self._part(_INSTANCE)), _integer(self._first("00200013"))
        )

    def series(self) -> SeriesFacts:
        return series_facts(self._instance.series, self._found)

    def study(self) -> StudyFacts:
        return study_facts(self._instance.study, self._found)

    def _first(self, tag: str) -> str:
        return _first(self._found, tag)

    def _part(self, tags: tuple[str, ...]) -> bytes:
        return _part(self._found, tags)


def read(header: bytes) -> Any:
    """The elements of a header that are of use here. Raises `Invalid`."""
    try:
        return _DECODER.decode(header)
    except msgspec.MsgspecError as error:
        raise Invalid("The header of the instance is no DICOM JSON.") from error


def series_facts(uid: str, found: Any) -> SeriesFacts:
    """The facts of a series, from the header of the instance that stands for it."""
    return SeriesFacts(
        _joined(_uid("0020000E", uid), _part(found, _SERIES)),
        _first(found, "00080060"),
        _integer(_first(found, "00200011")),
    )


def study_facts(uid: str, found: Any) -> StudyFacts:
    """The facts of a study, from the header of the instance that stands for it."""
    name = _groups(found, "00100010")
    referrer = _groups(found, "00080090")
    day = bounds("DA", _first(found, "00080020"))
    birth = bounds("DA", _first(found, "00100030"))
    hour = bounds("TM", _first(found, "00080030"))
    return StudyFacts(
        patient=_part(found, _PATIENT),
        study=_joined(_uid("0020000D", uid), _part(found, _STUDY)),
        patient_id=_first(found, "00100020"),
        issuer=_first(found, "00100021"),
        birth_date=birth[0] if birth else "",
        sex=_first(found, "00100040"),
        date=day[0] if day else "",
        time=hour[0] if hour else "",
        accession=_first(found, "00080050"),
        study_id=_first(found, "00200010"),
        names=tuple(filter(None, map(folded_group, name))),
        words=tuple(words_of(name)),
        referrer=tuple(filter(None, map(folded_group, referrer))),
    )


def _part(found: Any, tags: tuple[str, ...]) -> bytes:
    """The elements that are there, as the inside of a JSON object."""
    parts = []
    for tag in tags:
        raw = getattr(found, f"t{tag}")
        if raw:
            parts.append(b'"%b":%b' % (tag.encode(), bytes(raw)))
    return b",".join(parts)


def _values(found: Any, tag: str) -> list[Any]:
    raw = getattr(found, f"t{tag}")
    if not raw:
        return []
    try:
        return _ELEMENT.decode(raw).value
    except msgspec.MsgspecError:
        return []


def _first(found: Any, tag: str) -> str:
    values = _values(found, tag)
    return text_of(values[0]) if values and values[0] is not None else ""


def _groups(found: Any, tag: str) -> tuple[str, ...]:
    values = _values(found, tag)
    return groups_of(values[0]) if values and values[0] is not None else ()


def _uid(tag: str, uid: str) -> bytes:
    return b'"%b":{"vr":"UI","Value":[%b]}' % (tag.encode(), msgspec.json.encode(uid))


def _joined(*parts: bytes) -> bytes:
    return b",".join(part for part in parts if part)


def _integer(text: str) -> int | None:
    try:
        number = int(text)
    except ValueError:
        return None
    return number if -(2**63) <= number < 2**63 else None


def counted_study(modalities: tuple[str, ...], series: int, instances: int) -> bytes:
    """What is counted of a study, as the inside of a JSON object."""
    return (
        b'"00080061":{"vr":"CS"%b},"00201206":{"vr":"IS","Value":[%d]},'
        b'"00201208":{"vr":"IS","Value":[%d]}'
    ) % (
        b',"Value":' + msgspec.json.encode(modalities) if modalities else b"",
        series,
        instances,
    )


def counted_series(instances: int) -> bytes:
    """What is counted of a series."""
    return b'"00201209":{"vr":"IS","Value":[%d]}' % instances
