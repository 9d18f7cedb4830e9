"""What a page of matches brings along: `_include` and `_revinclude`, asked of the store.

https://hl7.org/fhir/R4/search.html#include. Includes are those of one page; they are read
as they are now, each resource once, and none that is a match.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from fhirserver.interactions.context import Context
from fhirserver.model.json import Resource, decode
from fhirserver.search.expression import Query
from fhirserver.search.include import canonical_query, included, including_query
from fhirserver.search.request import Include
from fhirserver.store.port import Key, Version


@dataclass(slots=True)
class Included:
    """Included resources in the order they were found; `cut`: there would have been more."""

    versions: list[Version] = field(default_factory=list)
    cut: bool = False


async def include(
    context: Context,
    base: str,
    includes: Sequence[Include],
    matches: Sequence[Version],
    resources: Sequence[Resource],
) -> Included:
    """What `includes` ask for beside the matches, whose decoded bodies `resources` are.

    At most `Policy.max_includes` are taken; those that are found first stay.
    """
    walk = _Walk(context, base, {Key(item.type, item.id) for item in matches})
    await walk.step(includes, resources)
    again = [item for item in includes if item.iterate]
    while again and walk.fresh and not walk.found.cut:
        fresh, walk.fresh = walk.fresh, []
        await walk.step(again, [decode(item.body) for item in fresh if item.body])
    return walk.found


class _Walk:
    """The way from resource to resource; `fresh` is what was found since it was last emptied."""

    def __init__(self, context: Context, base: str, seen: set[Key]) -> None:
        self._context = context
        self._base = base
        self._seen = seen
        self.found = Included()
        self.fresh: list[Version] = []

    @property
    def _room(self) -> int:
        return self._context.policy.max_includes - len(self.found.versions)

    async def step(self, includes: Iterable[Include], resources: Sequence[Resource]) -> None:
        for item in includes:
            if item.reverse:
                await self._search(including_query(item, resources, self._room + 1))
            else:
                await self._forward(item, resources)

    async def _forward(self, item: Include, resources: Sequence[Resource]) -> None:
        context = self._context
        wanted = included(item, resources, context.indexer, self._base)
        keys = [Key(*key) for key in wanted.keys]
        unseen = [key for key in keys if key not in self._seen]
        if unseen:
            self._take(await context.store.read_many(unseen))
        if wanted.canonicals:
            count = self._room + 1
            await self._search(canonical_query(context.definitions, item, wanted.canonicals, count))

    async def _search(self, query: Query | None) -> None:
        while query is not None and not self.found.cut:
            page = await self._context.store.search(query)
            self._take(page.versions)
            query = replace(query, after=page.next) if page.next else None

    def _take(self, versions: Iterable[Version]) -> None:
        for version in versions:
            key = Key(version.type, version.id)
            if key in self._seen:
                continue
            if self._room <= 0:
                self.found.cut = True
                return
            self._seen.add(key)
            self.found.versions.append(version)
            self.fresh.append(version)
