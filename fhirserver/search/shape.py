"""The part of a resource that `_summary` and `_elements` ask for.

https://hl7.org/fhir/R4/search.html#summary and #elements. What is left out is marked by the
tag SUBSETTED, so that nobody takes the part for the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from fhirserver.definitions.element import Child
from fhirserver.definitions.registry import Definitions
from fhirserver.model.json import Json, Resource
from fhirserver.search.request import Summary

SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
    "display": "Resource encoded in summary mode",
}
"""https://hl7.org/fhir/R4/resource.html#Meta.tag"""

_ALWAYS = frozenset({"resourceType", "id", "meta"})


def shaped(
    definitions: Definitions,
    resource: Resource,
    summary: Summary | None = None,
    elements: Iterable[str] = (),
) -> Resource:
    """A new resource with what is asked for; the same one if all of it is.

    Mandatory elements are always there. `summary` count has no resources to shape.
    """
    if summary in _SUMMARIES:
        return _SUMMARIES[summary](definitions, resource)
    wanted = frozenset(elements)
    if not wanted:
        return resource
    children = definitions.children(resource["resourceType"])
    return marked(
        {
            name: value
            for name, value in resource.items()
            if name in _ALWAYS
            or name.removeprefix("_") in wanted
            or _has_to_be(children.get(name.removeprefix("_")), wanted)
        }
    )


def _has_to_be(child: Child | None, wanted: frozenset[str]) -> bool:
    """Whether an element is mandatory, or wanted by the name of its choice (`value`)."""
    return child is not None and (child.element.min > 0 or child.element.name in wanted)


def _summary(definitions: Definitions, resource: Resource) -> Resource:
    return marked(_in_summary(definitions, resource["resourceType"], resource) | _kept(resource))


def _kept(resource: Resource) -> Resource:
    return {name: resource[name] for name in ("id", "meta") if name in resource}


def _in_summary(definitions: Definitions, path: str, value: Resource) -> Resource:
    """The members of an object that belong to a summary, in their order."""
    members = _summary_members(definitions, path)
    out: Resource = {}
    for name, item in value.items():
        if name == "resourceType":
            out[name] = item
            continue
        child = members.get(name.removeprefix("_"))
        if child is not None:
            out[name] = _cut(definitions, child, item)
    return out


def _cut(definitions: Definitions, path: str, value: Json) -> Json:
    if isinstance(value, list):
        return [_cut(definitions, path, item) for item in value]
    if isinstance(value, dict):
        path = value.get("resourceType", path)
        if _summary_members(definitions, path):
            return _in_summary(definitions, path, value)
    return value


@lru_cache(maxsize=8192)
def _summary_members(definitions: Definitions, path: str) -> Mapping[str, str]:
    """The properties that a summary keeps, each with where its own are defined."""
    return {
        name: child.path
        for name, child in definitions.children(path).items()
        if child.element.is_summary or child.element.min > 0
    }


def _text(definitions: Definitions, resource: Resource) -> Resource:
    children = definitions.children(resource["resourceType"])
    return marked(
        {
            name: value
            for name, value in resource.items()
            if name in _ALWAYS
            or name == "text"
            or _has_to_be(children.get(name.removeprefix("_")), frozenset())
        }
    )


def _data(_: Definitions, resource: Resource) -> Resource:
    if "text" not in resource:
        return resource
    return marked({name: value for name, value in resource.items() if name != "text"})


_SUMMARIES: Mapping[str | None, Callable[[Definitions, Resource], Resource]] = {
    "true": _summary,
    "text": _text,
    "data": _data,
}


def marked(part: Resource) -> Resource:
    """The part, in FHIR's usual order, with the tag; `part` itself is not to be kept."""
    meta = dict(part.get("meta") or {})
    tags = [tag for tag in meta.get("tag") or () if tag.get("code") != SUBSETTED["code"]]
    meta["tag"] = [*tags, SUBSETTED]
    head = {name: part[name] for name in ("resourceType", "id") if name in part}
    return head | {"meta": meta} | {name: part[name] for name in part if name not in _ALWAYS}
