"""Loads large code systems in many short transactions that nobody sees.

In between others write; what an import leaves when it is broken off, the next one removes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from fhirserver.store.sqlite.concept_writer import CHUNK, ConceptWriter, Loader
from fhirserver.store.sqlite.connection import Connection
from fhirserver.store.sqlite.writer import Writer
from fhirserver.terminology.concept import Concept


async def stage(
    writer: Writer,
    url: str,
    version: str | None,
    concepts: Iterable[Concept],
    told: Callable[[int], None],
) -> int:
    """As `ConceptStore.stage`."""
    csid = await writer.run(lambda connection: ConceptWriter(connection).begin(url, version))
    for old in await writer.run(lambda connection: ConceptWriter(connection).left_over()):
        await writer.run(lambda connection, csid=old: ConceptWriter(connection).remove(csid))  # type: ignore[misc]
    loader: Loader | None = None

    def add(connection: Connection, chunk: list[Concept]) -> Loader:
        found = loader or Loader(connection, csid)
        found.add(chunk)
        return found

    remaining = iter(concepts)
    while chunk := list(islice(remaining, CHUNK)):
        loader = await writer.run(lambda connection, chunk=chunk: add(connection, chunk))  # type: ignore[misc]
        told(len(loader))
    if loader is None:
        return 0
    for part in loader.closure():
        await writer.run(lambda connection, part=part: loader.add_closure(part))  # type: ignore[misc]
    count = len(loader)
    await writer.run(lambda connection: ConceptWriter(connection).finish(csid, count))
    return count
