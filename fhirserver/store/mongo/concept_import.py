"""Loads the concepts of a large code system as a set that nobody sees until it is whole.

A set has its number of concepts (`c`) and the number of the head (`e`) once it is whole. What was
broken off, and what newer sets have replaced, is removed by the next import of the same system.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Final

from bson import Binary, Int64
from pymongo import InsertOne, UpdateOne

from fhirserver.model.json import encode
from fhirserver.store.concept_start import LONGEST_VALUE
from fhirserver.store.mongo.concept_system import NUL
from fhirserver.store.mongo.connection import Connection
from fhirserver.store.mongo.document import Json
from fhirserver.store.mongo.guard import Guard
from fhirserver.store.mongo.indexes import CODE_SYSTEM, CONCEPT, CONCEPT_WORD
from fhirserver.terminology.concept import Concept, text_of, value_of
from fhirserver.terminology.words import words_of

_CHUNK: Final = 1000


async def stage(
    connection: Connection,
    tenant: str,
    guard: Guard,
    url: str,
    version: str | None,
    concepts: Iterable[Concept],
    told: Callable[[int], None],
) -> int:
    """As `ConceptStore.stage`."""
    database = connection.database
    await _clear(connection, tenant, url, version)
    token = secrets.token_hex(12)
    named = {"_id": token, "t": tenant, "u": url, "v": version}
    await database[CODE_SYSTEM].insert_one(dict(named))
    parents: dict[str, tuple[str, ...]] = {}
    uses: Counter[str] = Counter()
    rest = iter(concepts)
    while chunk := list(islice(rest, _CHUNK)):
        writes = []
        for concept in chunk:
            if concept.code not in parents:
                writes.append(InsertOne(_document(token, len(parents), concept, uses)))
                parents[concept.code] = concept.parents
        if writes:
            await database[CONCEPT].bulk_write(writes, ordered=False)
        told(len(parents))
    await _link(connection, token, parents)
    words = iter(sorted(uses.items()))
    while some := list(islice(words, _CHUNK)):
        rows = [InsertOne({"s": token, "w": word, "u": count}) for word, count in some]
        await database[CONCEPT_WORD].bulk_write(rows, ordered=False)
    at = (await guard.settled()).number
    done = {"c": len(parents), "e": Int64(at), "o": Int64(time.time_ns())}
    await database[CODE_SYSTEM].update_one({"_id": token}, {"$set": done})
    return len(parents)


def _document(token: str, place: int, concept: Concept, uses: Counter[str]) -> Json:
    terms = [words for term in concept.terms() if (words := words_of(term))]
    every = list(dict.fromkeys(word for term in terms for word in term))
    uses.update(every)
    values = (
        f"{item['code']}{NUL}{text_of(value_of(item))[:LONGEST_VALUE]}"
        for item in concept.data.get("property", ())
    )
    data = {name: value for name, value in concept.data.items() if name not in ("code", "display")}
    if concept.parents:
        data["parents"] = list(concept.parents)
    return {
        "s": token,
        "n": place,
        "c": concept.code,
        "f": concept.code.casefold(),
        "d": concept.display,
        "b": Binary(encode(data)),
        "p": list(dict.fromkeys(values)),
        "w": every,
        "z": min(map(len, terms), default=0),
    }


async def _link(connection: Connection, token: str, parents: Mapping[str, tuple[str, ...]]) -> None:
    """Writes for each concept what is above it."""
    children = ((code, above) for code, above in parents.items() if above)
    while some := list(islice(children, _CHUNK)):
        writes = []
        for code, above in some:
            known = [item for item in dict.fromkeys(above) if item in parents]
            links = {"r": known, "a": _ancestors(code, parents)}
            writes.append(UpdateOne({"s": token, "c": code}, {"$set": links}))
        await connection.database[CONCEPT].bulk_write(writes, ordered=False)


def _ancestors(code: str, parents: Mapping[str, tuple[str, ...]]) -> list[str]:
    """All codes above; a circle ends where it began."""
    found: dict[str, None] = {}
    todo = list(parents[code])
    while todo:
        parent = todo.pop()
        if parent != code and parent not in found and parent in parents:
            found[parent] = None
            todo += parents[parent]
    return list(found)


async def _clear(connection: Connection, tenant: str, url: str, version: str | None) -> None:
    """Removes the sets of a system but the newest whole one, which may be in use."""
    sets = connection.database[CODE_SYSTEM]
    found = await sets.find({"t": tenant, "u": url, "v": version}).to_list(None)
    whole = [item for item in found if "e" in item]
    newest = max(whole, key=lambda item: (item["e"], item["o"]), default=None)
    for item in found:
        if item is not newest:
            await sets.delete_one({"_id": item["_id"]})
            await connection.database[CONCEPT].delete_many({"s": item["_id"]})
            await connection.database[CONCEPT_WORD].delete_many({"s": item["_id"]})
