"""The operations that the server has: rows of the gate, entries of the CapabilityStatement."""

from __future__ import annotations

from typing import Final

from fhirserver.interactions.operation import OperationRow
from fhirserver.operations import (
    break_glass,
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
    terminology,
    validate,
    versions,
)
from fhirserver.operations.graphql import operation as graphql
from fhirserver.operations.imaging import de_identify
from fhirserver.operations.terminology import (
    closure,
    expand,
    find_matches,
    lookup,
    subsumes,
    translate,
    validate_code,
)

OPERATIONS: Final = (
    OperationRow("meta", meta.URL, ("system", "type", "instance"), (), "r", meta.run),
    OperationRow("versions", versions.URL, ("system",), ("CapabilityStatement",), "", versions.run),
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
    OperationRow("break-glass", break_glass.URL, ("instance",), ("Patient",), "r", break_glass.run),
    OperationRow("lookup", lookup.URL, ("type",), ("CodeSystem",), "r", lookup.run),
    OperationRow(
        "subsumes", subsumes.URL, ("type", "instance"), ("CodeSystem",), "r", subsumes.run
    ),
    OperationRow(
        "find-matches",
        find_matches.URL,
        ("type", "instance"),
        ("CodeSystem",),
        "r",
        find_matches.run,
    ),
    OperationRow(
        "validate-code",
        validate_code.CODE_SYSTEM,
        ("type", "instance"),
        ("CodeSystem",),
        "r",
        validate_code.of_code_system,
    ),
    OperationRow(
        "validate-code",
        validate_code.VALUE_SET,
        ("type", "instance"),
        ("ValueSet",),
        "r",
        validate_code.of_value_set,
    ),
    OperationRow("expand", expand.URL, ("type", "instance"), ("ValueSet",), "r", expand.run),
    OperationRow("closure", closure.URL, ("system",), ("ConceptMap",), "u", closure.run),
    OperationRow(
        "translate", translate.URL, ("type", "instance"), ("ConceptMap",), "r", translate.run
    ),
    OperationRow(
        "reindex",
        reindex.URL,
        ("system", "type", "instance"),
        (),
        "u",
        reindex.run,
        administrative=True,
    ),
    OperationRow(
        "expunge",
        expunge.URL,
        ("system", "type", "instance"),
        (),
        "d",
        expunge.run,
        administrative=True,
    ),
    OperationRow(
        "de-identify", de_identify.URL, ("instance",), ("ImagingStudy",), "r", de_identify.run
    ),
    OperationRow("graphql", graphql.URL, ("system", "instance"), (), "s", graphql.run),
)


TERMINOLOGY: Final = frozenset(
    row for row in OPERATIONS if row.run.__module__.startswith(terminology.__name__)
)
"""Those that need the concepts of code systems."""


def offered(
    *,
    expunges: bool,
    terminology: bool = True,
    emergencies: bool = True,
    imaging: bool = True,
) -> tuple[OperationRow, ...]:
    """The operations of a server; what takes versions out for good is there only if wanted,
    terminology where the store keeps concepts, break-glass where anything is closed, and what
    is done with DICOM instances where they are kept."""
    without = set() if expunges else {expunge.run}
    if not emergencies:
        without.add(break_glass.run)
    if not imaging:
        without.add(de_identify.run)
    return tuple(
        row
        for row in OPERATIONS
        if row.run not in without and (terminology or row not in TERMINOLOGY)
    )
