"""Search parameters.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from dataclasses import dataclass

from fhirserver.model.json import Resource


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a composite parameter: another parameter, read from `expression` within."""

    definition: str
    expression: str


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One SearchParameter.

    `base` are the types it is for; one row serves several. `target` are the types that a
    reference may point to; () is any. `type` is special where the standard gives a meaning
    that no expression tells (`_text`, `_content`, `_query`, `_filter`, `near`). The few with
    neither `expression` nor that type are stated by R4 without a meaning. Of `comparators` and
    `modifiers`, () says that R4 does not restrict what the type allows.

    `custom`: it is not of the standard but was added to a server; what it restricts (`modifiers`,
    `chains`, `multiple_or`, `multiple_and`) is refused there. The standard's own say
    `multiple_or` false of all composites, although its text allows alternatives. `id` is that of
    the resource that adds it.
    """

    code: str
    url: str
    base: tuple[str, ...]
    type: str
    expression: str | None
    target: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()
    comparators: tuple[str, ...] = ()
    modifiers: tuple[str, ...] = ()
    multiple_or: bool = True
    multiple_and: bool = True
    status: str = "active"
    chains: tuple[str, ...] = ()
    custom: bool = False
    id: str = ""


def search_parameter(definition: Resource, *, custom: bool = False) -> SearchParameter:
    """The record of a SearchParameter."""
    code: str = definition["code"]
    expression = definition.get("expression")
    special = expression is None and code.startswith("_")
    return SearchParameter(
        code=code,
        url=definition["url"],
        base=tuple(definition.get("base", ())),
        type="special" if special else definition["type"],
        expression=expression,
        target=tuple(definition.get("target", ())),
        components=tuple(
            Component(item["definition"], item["expression"])
            for item in definition.get("component", ())
        ),
        comparators=tuple(definition.get("comparator", ())),
        modifiers=tuple(definition.get("modifier", ())),
        multiple_or=definition.get("multipleOr", True),
        multiple_and=definition.get("multipleAnd", True),
        status=definition.get("status", "active"),
        chains=tuple(definition.get("chain", ())) if custom else (),
        custom=custom,
        id=definition.get("id", "") if custom else "",
    )
