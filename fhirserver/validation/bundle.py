"""Bundles: what entries need in each type of Bundle, full URLs, links within documents.

https://hl7.org/fhir/R4/bundle.html. The invariants bdl-1 to bdl-12 are FHIRPath; here is what
they leave out, and what they miss where there is no first entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from fhirserver.model.reference import literal, references
from fhirserver.validation.finding import Finding, Found, error
from fhirserver.validation.scope import NOWHERE, Scope

_FIRST: Final = {"document": "Composition", "message": "MessageHeader"}
_REQUESTED: Final = frozenset({"batch", "transaction"})
_ANSWERED: Final = frozenset({"batch-response", "transaction-response"})
_URN: Final = "urn:"
_HREF: Final = re.compile(r"""href=["'](urn:(?:uuid|oid):[^"']*)["']""")
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def bundle(value: Any, scope: Scope = NOWHERE) -> Found:
    """The findings about a Bundle as a whole."""
    kind = value.get("type")
    entries = value.get("entry", [])
    found: list[Finding] = [*_first(kind, entries)]
    for index, entry in enumerate(entries):
        place = f".entry[{index}]"
        found += _exchange(entry, place, kind)
        if kind not in _REQUESTED | _ANSWERED:
            found += _full_url(entry, place, kind)
        elif "fullUrl" in entry:
            found += _same_id(entry, place)
    found += _narrative_links(entries)
    if kind in _FIRST:
        found += _links(value, entries, kind)
    return found or None


def _first(kind: str, entries: list[Any]) -> Iterator[Finding]:
    wanted = _FIRST.get(kind)
    if wanted is None:
        return
    if not entries:
        yield error("invalid", f"A Bundle of type {kind} begins with a {wanted}: it has no entry.")
        return
    type = (entries[0].get("resource") or {}).get("resourceType")
    if type is None:
        yield error("invalid", f"The first entry of a {kind} holds a {wanted}.", ".entry[0]")


def _exchange(entry: Any, place: str, kind: str) -> Iterator[Finding]:
    """Which entries have a request and which a response (bdl-3, bdl-4)."""
    for name, kinds, rule in (("request", _REQUESTED, "bdl-3"), ("response", _ANSWERED, "bdl-4")):
        wanted = kind in kinds or kind == "history"
        if wanted and name not in entry:
            text = f"An entry of a {kind} has a '{name}' ({rule})."
            yield error("invariant", text, place)
        elif not wanted and name in entry:
            text = f"An entry of a {kind} has no '{name}' ({rule})."
            yield error("invariant", text, f"{place}.{name}")


def _full_url(entry: Any, place: str, kind: str) -> Iterator[Finding]:
    """https://hl7.org/fhir/R4/bundle.html#bundle-unique: who is meant is told by the full URL."""
    if "resource" not in entry:
        return
    if "fullUrl" not in entry and "_fullUrl" not in entry:
        if kind != "history" and (kind != "searchset" or _is_stored(entry, kind)):
            text = "The entry needs a fullUrl, which tells the identity of its resource."
            yield error("required", text, place)
        return
    url, resource = entry.get("fullUrl", ""), entry["resource"]
    if url.startswith("http") and "id" not in resource and _is_stored(entry, kind):
        text = "A resource with the fullUrl of a server has an id: use urn:uuid: for others."
        yield error("invalid", text, f"{place}.resource")
    yield from _same_id(entry, place)


def _is_stored(entry: Any, kind: str) -> bool:
    """Whether an entry shows a resource as it is kept on a server."""
    if kind == "searchset":
        return bool((entry.get("search") or {}).get("mode") != "outcome")
    return kind != "history"


def _same_id(entry: Any, place: str) -> Iterator[Finding]:
    url, resource = entry.get("fullUrl"), entry.get("resource")
    if url is None:
        return
    if not _ABSOLUTE.match(url):
        text = f"Expected an absolute URL, found '{url}'."
        yield error("value", text, f"{place}.fullUrl")
        return
    parts = literal(url)
    if resource is None or parts is None or url.startswith(_URN) or not parts.base:
        return
    id = resource.get("id")
    if id is not None and (parts.id != id or parts.type != resource.get("resourceType")):
        text = f"The fullUrl '{url}' is not that of {resource.get('resourceType')}/{id}."
        yield error("invalid", text, f"{place}.fullUrl")


def _narrative_links(entries: list[Any]) -> Iterator[Finding]:
    """A narrative that links to a URN means another entry."""
    urls = {entry.get("fullUrl") for entry in entries}
    for index, entry in enumerate(entries):
        text = (entry.get("resource") or {}).get("text") or {}
        for url in dict.fromkeys(_HREF.findall(text.get("div", ""))):
            if url not in urls:
                told = f"The narrative links to '{url}', which no entry has as its fullUrl."
                yield error("not-found", told, f".entry[{index}].resource.text.`div`")


def _links(value: Any, entries: list[Any], kind: str) -> Iterator[Finding]:
    """What a document or message says must be in it."""
    scope = Scope(value)
    for index, entry in enumerate(entries[:1]):
        resource = entry.get("resource")
        if not isinstance(resource, dict):
            continue
        inner = Scope(resource, outer=scope, full_url=entry.get("fullUrl"))
        for holder, place in references(resource, f".entry[{index}].resource"):
            reference = holder["reference"]
            if reference[:1] == "#" or inner.target(reference) is not None:
                continue
            is_inside = reference.startswith(_URN) or kind == "document"
            if is_inside and (reference.startswith(_URN) or literal(reference) is not None):
                text = f"The Bundle has no entry for the reference '{reference}'."
                yield error("not-found", text, place)
