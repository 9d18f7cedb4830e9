"""SearchParameters that a worklist is searched by, where R4 has none (adr/0075-worklist-search.md).

They are resources of the store as anybody's are, and indexed as those are.
"""

from __future__ import annotations

from typing import Final

from fhirserver.dicom.worklist.entry import DCM, MODALITY, STATION_AE_TITLE
from fhirserver.model.json import Resource

START: Final = "worklist-start"
STATION: Final = "worklist-station"
STEP_MODALITY: Final = "worklist-modality"
DETAIL: Final = "worklist-detail"


def _parameter(code: str, base: str, type: str, expression: str, text: str) -> Resource:
    return {
        "resourceType": "SearchParameter",
        "id": code,
        "url": f"urn:fhirserver:SearchParameter:{code}",
        "name": code.title().replace("-", ""),
        "status": "active",
        "description": text,
        "code": code,
        "base": [base],
        "type": type,
        "expression": expression,
    }


def _input(code: str, kind: str) -> str:
    coded = f"type.coding.where(system = '{DCM}' and code = '{code}').exists()"
    return f"Task.input.where({coded}).value.ofType({kind})"


PARAMETERS: Final = (
    _parameter(
        START,
        "Task",
        "date",
        "Task.restriction.period.start | Task.executionPeriod.start",
        "When a scheduled procedure step is due.",
    ),
    _parameter(
        STATION,
        "Task",
        "string",
        _input(STATION_AE_TITLE, "string"),
        "AE title of the station that a step is planned for.",
    ),
    _parameter(
        STEP_MODALITY,
        "Task",
        "token",
        " | ".join(_input(MODALITY, kind) for kind in ("CodeableConcept", "Coding")),
        "Modality of a step.",
    ),
    _parameter(
        DETAIL,
        "ServiceRequest",
        "token",
        "ServiceRequest.orderDetail",
        "Details of an order, such as its modality.",
    ),
)
