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

_AT_ONCE = 100  # resources that are read before others may have a turn


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
    walk = _Walk(context, base, matches)
    await walk.step(includes, resources, matches)
    again = [item for item in includes if item.iterate]
    while again and walk.fresh and not walk.found.cut:
        fresh, walk.fresh = walk.fresh, []
        await walk.step(again, [decode(item.body) for item in fresh if item.body], fresh)
    return walk.found


class _Walk:
    """The way from resource to resource; `fresh` is what was found since it was last emptied."""

    def __init__(self, context: Context, base: str, matches: Iterable[Version]) -> None:
        self._context = context
        self._base = base
        self._current = {Key(item.type, item.id) for item in matches}
        self._seen = {(item.type, item.id, item.version) for item in matches}
        self.found = Included()
        self.fresh: list[Version] = []

    @property
    def _room(self) -> int:
        return self._context.policy.max_includes - len(self.found.versions)

    async def step(
        self,
        includes: Iterable[Include],
        resources: Sequence[Resource],
        versions: Sequence[Version],
    ) -> None:
        """Follows the includes once, from resources and the versions that they were read from."""
        keys = [(item.type, item.id) for item in versions]
        for item in includes:
            if item.reverse:
                await self._search(including_query(item, resources, self._room + 1, keys))
            else:
                await self._forward(item, resources)

    async def _forward(self, item: Include, resources: Sequence[Resource]) -> None:
        context = self._context
        wanted = included(item, resources, context.indexer, self._base)
        keys = [key for item in wanted.keys if (key := Key(*item)) not in self._current]
        for start in range(0, len(keys), _AT_ONCE):
            if not self.found.cut:
                self._take(await context.store.read_many(keys[start : start + _AT_ONCE]))
        for at in wanted.versions:
            if at not in self._seen and not self.found.cut:
                self._take_version(await context.store.read(*at))
        if wanted.canonicals:
            count = self._room + 1
            await self._search(canonical_query(context.definitions, item, wanted.canonicals, count))

    async def _search(self, query: Query | None) -> None:
        while query is not None and not self.found.cut:
            page = await self._context.store.search(query)
            self._take(page.versions)
            query = replace(query, after=page.next) if page.next else None

    def _take(self, versions: Iterable[Version]) -> None:
        """Takes current versions, but none of a resource that is here already."""
        for version in versions:
            key = Key(version.type, version.id)
            if key not in self._current:
                self._take_version(version)
                self._current.add(key)

    def _take_version(self, version: Version | None) -> None:
        if version is None or version.body is None:
            return
        at = (version.type, version.id, version.version)
        if at in self._seen:
            return
        if self._room <= 0:
            self.found.cut = True
            return
        self._seen.add(at)
        self.found.versions.append(version)
        self.fresh.append(version)
