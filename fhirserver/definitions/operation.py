"""Operations: their names, where they can be called, and their parameters.

https://hl7.org/fhir/R4/operationdefinition.html
"""

from __future__ import annotations

from dataclasses import dataclass

from fhirserver.model.json import Resource


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; `use` is in or out, `max` None is `*`, `type` None has `parts`."""

    name: str
    use: str
    min: int
    max: int | None
    type: str | None
    search_type: str | None = None
    target_profiles: tuple[str, ...] = ()
    parts: tuple[Parameter, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One OperationDefinition, called as `$code` on the system, a type or an instance."""

    code: str
    url: str
    kind: str
    affects_state: bool
    resources: tuple[str, ...]
    system: bool
    type: bool
    instance: bool
    parameters: tuple[Parameter, ...]


def operation(definition: Resource) -> Operation:
    """The record of an OperationDefinition."""
    return Operation(
        code=definition["code"],
        url=definition["url"],
        kind=definition["kind"],
        affects_state=definition.get("affectsState", False),
        resources=tuple(definition.get("resource", ())),
        system=definition["system"],
        type=definition["type"],
        instance=definition["instance"],
        parameters=tuple(_parameter(item) for item in definition.get("parameter", ())),
    )


def _parameter(definition: Resource, use: str = "in") -> Parameter:
    use = definition.get("use", use)
    max_ = definition["max"]
    return Parameter(
        name=definition["name"],
        use=use,
        min=definition["min"],
        max=None if max_ == "*" else int(max_),
        type=definition.get("type"),
        search_type=definition.get("searchType"),
        target_profiles=tuple(definition.get("targetProfile", ())),
        parts=tuple(_parameter(item, use) for item in definition.get("part", ())),
    )
