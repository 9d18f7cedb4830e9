"""Entries that may be sent twice.

A create makes another resource each time, so it becomes an update of an id that follows from
the content of the file and the place in it. What depends on a condition stays as it is: the
condition keeps it from being done twice.
"""

from __future__ import annotations

from fhirserver.model.json import Json, Resource

_DIGITS = 20
"""80 bits of the digest: among a million files, two have the same with odds of 1 to 10^12."""


def put(resource: Resource, digest: str, label: str, full_url: Json = None) -> Resource:
    """An entry that puts a resource under its own id, or, if it has none, under one made up."""
    type_ = resource["resourceType"]
    id_ = resource.get("id")
    if "id" not in resource:
        id_ = made_id(digest, label)
        resource = {"resourceType": type_, "id": id_} | resource
    entry: Resource = {} if full_url is None else {"fullUrl": full_url}
    entry["resource"] = resource
    entry["request"] = {"method": "PUT", "url": f"{type_}/{id_}"}
    return entry


def repeatable(entry: Json, digest: str, label: str) -> Json:
    """The entry of a transaction or batch, with a plain create turned into a put."""
    if not isinstance(entry, dict):
        return entry
    request, resource = entry.get("request"), entry.get("resource")
    if not isinstance(request, dict) or not isinstance(resource, dict):
        return entry
    type_ = resource.get("resourceType")
    is_create = request.get("method") == "POST" and request.get("url") == type_
    if not is_create or "ifNoneExist" in request or not isinstance(type_, str):
        return entry
    id_ = made_id(digest, label)
    return entry | {
        "resource": {"resourceType": type_, "id": id_} | {**resource, "id": id_},
        "request": {**request, "method": "PUT", "url": f"{type_}/{id_}"},
    }


def made_id(digest: str, label: str) -> str:
    """The id for what stands at the place `label` in a content: the same whenever it is read.

    The ids of a file lie together, which an index of ids likes.
    """
    return f"{digest[:_DIGITS]}-{label}"
