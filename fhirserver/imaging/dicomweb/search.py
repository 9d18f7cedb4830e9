"""Matches as DICOM JSON objects (PS3.18, 10.6.3 and F.2): sorted, with where to retrieve them."""

from __future__ import annotations

from typing import Final

import msgspec

from fhirserver.archive.query import Row
from fhirserver.imaging.dicomweb.query import ALL
from fhirserver.imaging.dicomweb.route import Level, Route

_Object = dict[str, msgspec.Raw]
_DECODER: Final = msgspec.json.Decoder(_Object)
_UTF8: Final = msgspec.Raw(b'{"vr":"CS","Value":["ISO_IR 192"]}')
_ONLINE: Final = msgspec.Raw(b'{"vr":"CS","Value":["ONLINE"]}')


def matches(rows: list[Row], target: Route, included: frozenset[str], base: str) -> list[bytes]:
    """An object for each row. `included`: tags that are wanted beside the usual ones.

    What the address already says (the study, the series) is not repeated, but for its UIDs.
    """
    return [_match(row, target, included, base) for row in rows]


def _match(row: Row, target: Route, included: frozenset[str], base: str) -> bytes:
    found: _Object = {}
    if row.header is not None and included:
        header = _DECODER.decode(row.header)
        if ALL not in included:
            header = {tag: header[tag] for tag in included if tag in header}
        found.update(header)
    for part in _parts(row, target):
        found.update(_DECODER.decode(part))
    found["00080005"] = _UTF8
    found["00080056"] = _ONLINE
    found["00081190"] = _value("UR", _address(row, target.level, base))
    found["0020000D"] = _value("UI", row.study_uid)
    if row.series_uid is not None and target.level != "study":
        found["0020000E"] = _value("UI", row.series_uid)
    return msgspec.json.encode(dict(sorted(found.items())))


def _parts(row: Row, target: Route) -> list[bytes]:
    parts = []
    if target.study is None or target.level == "study":
        parts += [row.patient, row.study]
    if target.series is None:
        parts.append(row.series)
    parts.append(row.instance)
    return [part for part in parts if part]


def _address(row: Row, level: Level, base: str) -> str:
    address = f"{base}/studies/{row.study_uid}"
    if level != "study":
        address += f"/series/{row.series_uid}"
    if level == "instance":
        address += f"/instances/{row.instance_uid}"
    return address


def _value(vr: str, value: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode({"vr": vr, "Value": [value]}))
