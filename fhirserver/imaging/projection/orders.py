"""The order and the visit that a study belongs to: by accession number and admission id.

Only what is unambiguous is linked: one ServiceRequest or Encounter with that identifier, of the
same patient. An order that is not (yet) there is referred to by its identifier alone.
"""

from __future__ import annotations

from fhirserver.dicom.mapping.attributes import Attributes
from fhirserver.dicom.mapping.issuers import Issuers, token
from fhirserver.imaging.projection.gate import Gate
from fhirserver.model.json import Resource


async def based_on(
    gate: Gate, data: Attributes, issuers: Issuers, subject: Resource
) -> list[Resource]:
    """References to the orders of a study, one for each accession number."""
    found = []
    for identifier in issuers.accessions(data):
        order = await _only(gate, "ServiceRequest", identifier, subject)
        if order is not None:
            found.append(order)
        else:
            found.append({"type": "ServiceRequest", "identifier": identifier})
    return found


async def encounter(
    gate: Gate, data: Attributes, issuers: Issuers, subject: Resource
) -> Resource | None:
    """The reference to the visit of a study; None where it is not known."""
    identifier = issuers.admission_identifier(data)
    return await _only(gate, "Encounter", identifier, subject) if identifier else None


async def _only(gate: Gate, type: str, identifier: Resource, subject: Resource) -> Resource | None:
    system, value = token(identifier)
    if not system:
        return None
    found = await gate.identified(type, system, value)
    if len(found) != 1 or not _is_of(found[0], subject, gate.base):
        return None
    return {"reference": f"{type}/{found[0]['id']}"}


def _is_of(resource: Resource, subject: Resource, base: str) -> bool:
    url = str(resource.get("subject", {}).get("reference", ""))
    return bool(url.removeprefix(f"{base}/") == subject["reference"])
