"""Value sets: which codes they include and exclude.

https://hl7.org/fhir/R4/valueset.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from fhirserver.model.json import Resource


class Coding(NamedTuple):
    """A code of a system, as an expansion lists it."""

    system: str
    code: str
    display: str | None


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on a system's concepts: `property` `op` `value`, e.g. concept is-a X."""

    property: str
    op: str
    value: str


@dataclass(frozen=True, slots=True)
class Include:
    """Codes of `system`: those of `concepts`, or those that meet all `filters`, or all of them;
    and in each of `value_sets`. `concepts` None: the set does not list them."""

    system: str | None
    version: str | None
    concepts: tuple[Coding, ...] | None
    filters: tuple[Filter, ...]
    value_sets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ValueSet:
    """One ValueSet; `expansion` None: it is to be computed from the includes."""

    url: str
    version: str | None
    includes: tuple[Include, ...]
    excludes: tuple[Include, ...]
    expansion: tuple[Coding, ...] | None


def value_set(definition: Resource) -> ValueSet:
    """The record of a ValueSet."""
    compose = definition.get("compose", {})
    expansion = definition.get("expansion")
    return ValueSet(
        url=definition["url"],
        version=definition.get("version"),
        includes=tuple(_include(item) for item in compose.get("include", ())),
        excludes=tuple(_include(item) for item in compose.get("exclude", ())),
        expansion=None if expansion is None else tuple(_contains(expansion.get("contains", ()))),
    )


def _include(definition: Resource) -> Include:
    system = definition.get("system")
    concepts = definition.get("concept")
    return Include(
        system=system,
        version=definition.get("version"),
        concepts=concepts
        and tuple(Coding(system or "", item["code"], item.get("display")) for item in concepts),
        filters=tuple(
            Filter(item["property"], item["op"], item["value"])
            for item in definition.get("filter", ())
        ),
        value_sets=tuple(definition.get("valueSet", ())),
    )


def _contains(entries: list[Resource]) -> Iterator[Coding]:
    for entry in entries:
        if "code" in entry and not entry.get("abstract", False):
            yield Coding(entry.get("system", ""), entry["code"], entry.get("display"))
        yield from _contains(entry.get("contains", ()))
