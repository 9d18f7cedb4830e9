"""Instances for tests of the archive."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec

from fhirserver.archive.port import Instance, Source

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"

_VRS = {
    "00080005": "CS", "00080008": "CS", "00080020": "DA", "00080030": "TM", "00080050": "SH",
    "00080060": "CS", "00080090": "PN", "00081030": "LO", "0008103E": "LO", "00100010": "PN",
    "00100020": "LO", "00100021": "LO", "00100030": "DA", "00100040": "CS", "00180015": "CS",
    "00200010": "SH", "00200011": "IS", "00200013": "IS", "00280010": "US", "00280011": "US",
    "00080080": "LO", "00400275": "SQ", "00081032": "SQ", "00180050": "DS",
}  # fmt: skip


def element(tag: str, value: Any) -> dict[str, Any]:
    """An element of DICOM JSON."""
    vr = _VRS[tag]
    values = value if isinstance(value, list) else [value]
    if vr == "PN":
        values = [{"Alphabetic": one} if isinstance(one, str) else one for one in values]
    return {"vr": vr, "Value": values}


def header(**values: Any) -> dict[str, Any]:
    """A data set by tags with a letter before them (`t00100020="1"`)."""
    return {
        tag[1:]: element(tag[1:], value) for tag, value in sorted(values.items()) if value != ""
    }


def instance(
    study: str = "1.1",
    series: str = "1.1.1",
    uid: str = "1.1.1.1",
    *,
    content: str = "",
    received: int = 1,
    **values: Any,
) -> Instance:
    """An instance; `content` makes other bytes of the same instance."""
    data = header(**{"t00080060": "CT", "t00100020": "P1"} | values)
    data |= {
        "0020000D": {"vr": "UI", "Value": [study]},
        "0020000E": {"vr": "UI", "Value": [series]},
        "00080018": {"vr": "UI", "Value": [uid]},
        "00080016": {"vr": "UI", "Value": [CT]},
    }
    encoded = msgspec.json.encode(data)
    digest = sha256(encoded + content.encode()).hexdigest()
    return Instance(
        *(study, series, uid, CT, EXPLICIT, digest, 1000, encoded, received),
        source=Source("MODALITY", "127.0.0.1"),
    )
