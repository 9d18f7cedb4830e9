"""Choice types: of `valueQuantity`, `valueString` and so on, one at most.

https://hl7.org/fhir/R4/formats.html#choice. That the type is an allowed one needs no rule: a
property of another type is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping

from fhirserver.definitions.element import Child
from fhirserver.model.json import Resource
from fhirserver.validation.finding import Check, Found, error, joined, place
from fhirserver.validation.scope import NOWHERE, Scope


def exclusive(children: Mapping[str, Child]) -> Check | None:
    """The check that each choice is made once; None if there is none to make."""
    choice_of = {
        prefix + name: child.element.name
        for name, child in children.items()
        if child.element.choice
        for prefix in ("", "_")
    }
    if not choice_of:
        return None

    def rule(value: Resource, scope: Scope = NOWHERE) -> Found:
        picked = 0
        for name in value:  # a loop, as this runs for every object
            if name in choice_of:
                picked += 1
        if picked < 2:
            return None
        made: dict[str, set[str]] = {}
        for name in value:
            if name in choice_of:
                made.setdefault(choice_of[name], set()).add(name.removeprefix("_"))
        return _twice(made)

    return rule


def _twice(made: Mapping[str, set[str]]) -> Found:
    found: Found = None
    for choice, names in made.items():
        if len(names) > 1:
            text = f"Expected one '{choice}[x]', found {', '.join(sorted(names))}."
            found = joined(found, [error("structure", text, place(choice))])
    return found
