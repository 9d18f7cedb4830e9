"""What came of a store, instance by instance (PS3.18, 10.5.3 and I.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from fhirserver.dicom.identity import Identity

# PS3.4 B.2.3 and PS3.18 I.2.2 have the reasons of failures.
PROCESSING_FAILURE: Final = 0x0110
DUPLICATE: Final = 0x0111
NO_RESOURCES: Final = 0xA700
OTHER_STUDY: Final = 0xA901  # the data set does not match what was announced: the study
CANNOT_UNDERSTAND: Final = 0xC000

_Dataset = dict[str, Any]


@dataclass(slots=True)
class Outcomes:
    """What was stored, what was refused and why, and what could not even be read."""

    stored: list[Identity] = field(default_factory=list)
    failed: list[tuple[Identity, int]] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)

    @property
    def status(self) -> int:
        """200: all was stored; 202: some; 409: nothing."""
        if not self.failed and not self.unread:
            return 200
        return 202 if self.stored else 409

    def dataset(self, base: str) -> bytes:
        """The Store Instances Response Module as a DICOM JSON object."""
        found: _Dataset = {}
        studies = {identity.study for identity in self.stored}
        if len(studies) == 1:
            found["00081190"] = _value("UR", f"{base}/studies/{studies.pop()}")
        if self.failed:
            found["00081198"] = _sequence(_failure(*one) for one in self.failed)
        if self.stored:
            found["00081199"] = _sequence(_success(one, base) for one in self.stored)
        if self.unread:
            found["0008119A"] = _sequence({"00081197": _value("US", one)} for one in self.unread)
        return msgspec.json.encode(found)


def _failure(identity: Identity, reason: int) -> _Dataset:
    return _reference(identity) | {"00081197": _value("US", reason)}


def _success(identity: Identity, base: str) -> _Dataset:
    address = f"{base}/studies/{identity.study}/series/{identity.series}"
    address += f"/instances/{identity.instance}"
    return _reference(identity) | {"00081190": _value("UR", address)}


def _reference(identity: Identity) -> _Dataset:
    return {
        "00081150": _value("UI", identity.sop_class),
        "00081155": _value("UI", identity.instance),
    }


def _value(vr: str, value: str | int) -> _Dataset:
    return {"vr": vr, "Value": [value]}


def _sequence(items: Any) -> _Dataset:
    values: Sequence[_Dataset] = list(items)
    return {"vr": "SQ", "Value": values}
