"""Compartments: the resources that belong to one patient, encounter, device or person.

https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fhirserver.model.json import Resource


@dataclass(frozen=True, slots=True)
class Compartment:
    """`members` are the types that may belong to it, each with the codes of the reference
    parameters of which one must point to the compartment's resource. Types that never belong
    are not in it; the resource itself always belongs."""

    code: str
    url: str
    members: Mapping[str, tuple[str, ...]]


def compartment(definition: Resource) -> Compartment:
    """The record of a CompartmentDefinition."""
    return Compartment(
        definition["code"],
        definition["url"],
        {
            member["code"]: tuple(member["param"])
            for member in definition.get("resource", ())
            if member.get("param")
        },
    )
