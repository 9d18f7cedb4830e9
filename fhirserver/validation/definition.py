"""Resources that define: a StructureDefinition that can be worked with, and so on.

https://hl7.org/fhir/R4/conformance-module.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fhirserver.definitions.structure import type_name
from fhirserver.model.json import Resource
from fhirserver.validation.finding import Check, Finding, Found, error
from fhirserver.validation.scope import NOWHERE, Scope
from fhirserver.validation.snapshot import Snapshots
from fhirserver.validation.tree import Unusable, tree


def structure_definition(find: Callable[[str], Resource | None]) -> Check:
    """The check of StructureDefinitions; `find` gives the others."""

    def check(value: Any, scope: Scope = NOWHERE) -> Found:
        found: list[Finding] = []
        try:
            if value.get("derivation") == "constraint" and "differential" in value:
                base = value.get("baseDefinition")
                if base is None or find(base) is not None:  # else it may come later
                    Snapshots(find).made(value, ())
            elif "snapshot" in value:
                tree(value["snapshot"]["element"])
        except Unusable as unusable:
            found.append(error("processing", f"It cannot be used: {unusable.text}"))
        for view in ("snapshot", "differential"):
            for index, item in enumerate(value.get(view, {}).get("element", ())):
                found += _types(item, f".{view}.element[{index}]", find)
        return found or None

    return check


def _types(item: Any, place: str, find: Callable[[str], Resource | None]) -> Iterator[Finding]:
    """The profiles of a type are profiles of that type."""
    for number, type in enumerate(item.get("type", ())):
        for index, url in enumerate(type.get("profile", ())):
            known = find(url) if isinstance(url, str) else None
            if known is None or type.get("code") in (known.get("type"), "Resource"):
                continue
            text = f"'{url}' is for a {type_name(str(known.get('type')))}, not for {type['code']}."
            yield error("value", text, f"{place}.type[{number}].profile[{index}]")


def code_system(value: Any, scope: Scope = NOWHERE) -> Found:
    """A CodeSystem that supplements another has the content of a supplement."""
    if "supplements" not in value or value.get("content") == "supplement":
        return None
    text = f"A supplement has the content 'supplement', not '{value.get('content')}'."
    return [error("business-rule", text, ".content")]
