"""The operations that the server has: rows of the gate, entries of the CapabilityStatement."""

from __future__ import annotations

from typing import Final

from fhirserver.interactions.operation import OperationRow
from fhirserver.operations import (
    document,
    everything,
    expunge,
    lastn,
    match,
    merge,
    meta,
    meta_add,
    meta_delete,
    reindex,
    snapshot,
    stats,
    validate,
)
from fhirserver.operations.graphql import operation as graphql

OPERATIONS: Final = (
    OperationRow("meta", meta.URL, ("system", "type", "instance"), (), "r", meta.run),
    OperationRow("meta-add", meta_add.URL, ("instance",), (), "u", meta_add.run),
    OperationRow("meta-delete", meta_delete.URL, ("instance",), (), "u", meta_delete.run),
    OperationRow("validate", validate.URL, ("type", "instance"), (), "r", validate.run),
    OperationRow(
        "snapshot", snapshot.URL, ("type", "instance"), ("StructureDefinition",), "r", snapshot.run
    ),
    OperationRow(
        "everything", everything.PATIENT, ("instance",), ("Patient",), "s", everything.patient
    ),
    OperationRow(
        "everything", everything.ENCOUNTER, ("instance",), ("Encounter",), "s", everything.encounter
    ),
    OperationRow("lastn", lastn.URL, ("type",), ("Observation",), "s", lastn.run),
    OperationRow("stats", stats.URL, ("type",), ("Observation",), "s", stats.run),
    OperationRow(
        "document", document.URL, ("type", "instance"), ("Composition",), "s", document.run
    ),
    OperationRow("match", match.URL, ("type",), ("Patient",), "s", match.run),
    OperationRow("merge", merge.URL, ("type",), ("Patient",), "u", merge.run),
    OperationRow("reindex", reindex.URL, ("system", "type", "instance"), (), "u", reindex.run),
    OperationRow("expunge", expunge.URL, ("system", "type", "instance"), (), "d", expunge.run),
    OperationRow("graphql", graphql.URL, ("system", "instance"), (), "s", graphql.run),
)


def offered(*, expunges: bool) -> tuple[OperationRow, ...]:
    """The operations of a server; what takes versions out for good is there only if wanted."""
    return tuple(row for row in OPERATIONS if expunges or row.run is not expunge.run)
