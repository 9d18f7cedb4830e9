"""Loads large code systems in many short transactions that nobody sees.

In between others write; what an import leaves when it is broken off, the next one removes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import islice

from fhirserver.store.sqlite.changes import Batch
from fhirserver.store.sqlite.concept_writer import CHUNK, Closure, ConceptWriter, Loader
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
    csid = await writer.write(lambda batch: ConceptWriter(batch.connection).begin(url, version))
    for old in await writer.write(lambda batch: ConceptWriter(batch.connection).left_over()):
        await writer.write(partial(_remove, old), CHUNK)
    loader = await writer.write(lambda batch: Loader(batch.connection, csid))
    remaining = iter(concepts)
    while chunk := list(islice(remaining, CHUNK)):
        await writer.write(partial(_add, loader, chunk), CHUNK)
        told(len(loader))
    for part in loader.closure():
        await writer.write(partial(_add_closure, loader, part), CHUNK)
    count = len(loader)
    await writer.write(lambda batch: ConceptWriter(batch.connection).finish(csid, count))
    return count


def _remove(csid: int, batch: Batch) -> None:
    ConceptWriter(batch.connection).remove(csid)


def _add(loader: Loader, chunk: list[Concept], batch: Batch) -> None:
    loader.add(chunk)


def _add_closure(loader: Loader, part: Closure, batch: Batch) -> None:
    loader.add_closure(part)
