"""All matches of a search at once, where an operation looks at each of them."""

from __future__ import annotations

from dataclasses import replace

from fhirserver.errors import TooCostly
from fhirserver.interactions.context import Context
from fhirserver.search.expression import Query
from fhirserver.store.port import Version

_PAGE = 500


async def matches(context: Context, query: Query, most: int) -> list[Version]:
    """The matches in the store's order. Raises `TooCostly` for more than `most`."""
    out: list[Version] = []
    step: Query | None = replace(query, count=min(_PAGE, most + 1))
    while step is not None:
        page = await context.store.search(step)
        out += page.versions
        if len(out) > most:
            raise TooCostly(f"This would look at more than {most} resources: ask for less.")
        step = replace(step, after=page.next) if page.next else None
    return out
