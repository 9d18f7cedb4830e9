"""The value set that an element is bound to, for operations that name the element.

The `context` of https://hl7.org/fhir/R4/valueset-operation-expand.html:
`[StructureDefinition URL]#[path or id of the element]`.
"""

from __future__ import annotations

from collections.abc import Iterable

from fhirserver.errors import Invalid, NotFound
from fhirserver.interactions.context import Context
from fhirserver.model.json import Resource
from fhirserver.validation import snapshot_of
from fhirserver.validation.tree import Unusable


async def bound_value_set(context: Context, reference: str) -> str:
    """The canonical URL of the value set.

    Raises `Invalid` for another form of reference, `NotFound` where the structure, the element
    or its binding is not known.
    """
    url, mark, name = reference.partition("#")
    if not mark or ":" not in url or not name:
        raise Invalid("context is the URL of a StructureDefinition, '#' and a path in it.")
    await context.stored.add(context, [url])
    definitions = context.stored.definitions(context)
    found = definitions.shelf("StructureDefinition").get(url.partition("|")[0])
    if found is None:
        raise NotFound(f"The StructureDefinition '{url}' is not known here.")
    stated = (found.get("snapshot") or {}).get("element")
    try:
        elements = stated or snapshot_of(found, definitions)
    except Unusable as unusable:
        raise NotFound(f"'{url}' cannot be used: {unusable.text}") from None
    element = _element(elements, name)
    if element is None:
        raise NotFound(f"'{url}' has no element '{name}'.")
    value_set: str | None = (element.get("binding") or {}).get("valueSet")
    if value_set is None:
        raise NotFound(f"The element '{name}' of '{url}' is not bound to a value set.")
    return value_set


def _element(elements: Iterable[Resource], name: str) -> Resource | None:
    """The element of an id, else the first one of a path."""
    by_path = None
    for item in elements:
        if item.get("id", item["path"]) == name:
            return item
        if item["path"] == name and by_path is None:
            by_path = item
    return by_path
