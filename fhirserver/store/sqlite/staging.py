"""Loads large code systems in many short transactions that nobody sees.

In between others write; what an import leaves when it is broken off, the next one removes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice

from fhirserver.store.sqlite.concept_writer import CHUNK, Closure, ConceptWriter, Loader
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
        await writer.run(partial(_remove, old))
    loader = await writer.run(lambda connection: Loader(connection, csid))
    remaining = iter(concepts)
    while chunk := list(islice(remaining, CHUNK)):
        await writer.run(partial(_add, loader, chunk))
        told(len(loader))
    for part in loader.closure():
        await writer.run(partial(_add_closure, loader, part))
    count = len(loader)
    await writer.run(lambda connection: ConceptWriter(connection).finish(csid, count))
    return count


def _remove(csid: int, connection: Connection) -> None:
    ConceptWriter(connection).remove(csid)


def _add(loader: Loader, chunk: list[Concept], connection: Connection) -> None:
    loader.add(chunk)


def _add_closure(loader: Loader, part: Closure, connection: Connection) -> None:
    loader.add_closure(part)
