"""How scoped functions evaluate their arguments: once for each item, as `$this`."""

from __future__ import annotations

from collections.abc import Iterator

from fhirserver.fhirpath.context import Code, Frame
from fhirserver.fhirpath.node import Collection, Item


def each(frame: Frame, items: Collection, code: Code) -> Iterator[tuple[Item, Collection]]:
    """Each item with what `code` gives for it."""
    inner = frame.inner()
    frame.run.spend(len(items))
    for index, item in enumerate(items):
        inner.this = [item]
        inner.index = [index]
        yield item, code(inner)
