"""A code system as it is about to be imported, and the import."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fhirserver.access.grant import SERVER
from fhirserver.interactions.request import Answer, Request
from fhirserver.model.json import Resource
from fhirserver.store.concepts import ConceptStore
from fhirserver.terminology.concept import Concept

BASE = "http://localhost/fhir"
_UNSAFE = re.compile(r"[^A-Za-z0-9\-.]+")


class NotReadable(Exception):
    """The files are not those of the code system; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`system` is a CodeSystem with `content` not-present: its concepts come apart."""

    system: Resource
    concepts: Iterator[Concept]


async def import_(
    concepts: ConceptStore,
    dispatch: Callable[[Request], Awaitable[Answer]],
    vocabulary: Vocabulary,
    date: str,
    told: Callable[[int], None],
) -> int:
    """Loads the concepts unseen, then takes them into use with the resource; how many they are.

    `date` is that of the CodeSystem, told as when it was last changed here.
    """
    system = vocabulary.system
    count = await concepts.stage(system["url"], system.get("version"), vocabulary.concepts, told)
    if not count:
        raise NotReadable("The files have no concepts in them.")
    resource = {**system, "date": date, "count": count}
    request = Request("update", BASE, "CodeSystem", system["id"], resource=resource, grant=SERVER)
    await dispatch(request)
    return count


def code_system(
    name: str,
    url: str,
    version: str,
    title: str,
    properties: Sequence[tuple[str, str, str]],
    **more: Any,
) -> Resource:
    """A CodeSystem without concepts; `properties` are code, type and description."""
    return {
        "resourceType": "CodeSystem",
        "id": _UNSAFE.sub("-", f"{name}-{version}")[:64],
        "url": url,
        "version": version,
        "name": name,
        "title": title,
        "status": "active",
        "caseSensitive": True,
        "content": "not-present",
        "hierarchyMeaning": "is-a",
        **more,
        "property": [
            {"code": code, "description": text, "type": type} for code, type, text in properties
        ],
    }
