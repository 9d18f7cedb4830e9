"""The rows of the gate that are about DICOM instances. Edges of imaging ask for them by code."""

from __future__ import annotations

from typing import Final

from fhirserver.interactions.dispatch import Interaction
from fhirserver.operations.imaging import commitment, delete, mpps, query, retrieve, store, worklist

IMAGING_ROWS: Final = (
    Interaction("dicom-query", "type", "s", query.run),
    Interaction("dicom-retrieve", "type", "r", retrieve.run),
    Interaction("dicom-begin", "instance", "c", store.begin),
    Interaction("dicom-store", "instance", "c", store.end),
    Interaction("dicom-delete", "type", "d", delete.run),
    Interaction("dicom-worklist", "type", "s", worklist.run),
    Interaction("dicom-mpps", "type", "u", mpps.run),
    Interaction("dicom-commitment", "type", "r", commitment.run),
)
