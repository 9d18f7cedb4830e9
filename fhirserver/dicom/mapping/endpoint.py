"""Endpoint of a DICOMweb service: one for its base, not one for each study.

https://hl7.org/fhir/R4/imagingstudy-definitions.html#ImagingStudy.endpoint: the address is that
of the service, to which `studies/[uid]` is appended.
"""

from __future__ import annotations

from typing import Final

from fhirserver.model.json import Resource

_CONNECTIONS: Final = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"


def endpoint(address: str) -> Resource:
    """The Endpoint of the DICOMweb service at an address; no id."""
    return {
        "resourceType": "Endpoint",
        "status": "active",
        "connectionType": {"system": _CONNECTIONS, "code": "dicom-wado-rs"},
        "name": "DICOMweb",
        "payloadType": [{"text": "DICOM"}],
        "payloadMimeType": ["application/dicom"],
        "address": address,
    }
