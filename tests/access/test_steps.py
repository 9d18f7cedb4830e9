"""What is not the caller's and what is not there take the same steps, not only the same answer.

Times on a busy machine prove nothing, so what is counted is what takes the time: look-ups in the
store, and versions that are judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from access.worlds import CALLERS, POLICIES, Caller, Item, hidden, world

from fhirserver.access.authority import Authority
from fhirserver.access.judge import Judge
from fhirserver.errors import FhirError
from fhirserver.interactions.dispatch import Gate
from fhirserver.operations.table import offered
from fhirserver.search.expression import Expression, Query
from fhirserver.store.parted import Wrapped
from fhirserver.store.port import HistoryPage, HistoryQuery, Key, SearchPage, Store, Version

NOBODY = "nobody-ever"


class Counted(Wrapped):
    """A store that counts what it is asked."""

    def __init__(self, store: Store, steps: Counter[str]) -> None:
        super().__init__(store)
        self.steps = steps

    async def read(self, type: str, id: str, version: int | None = None) -> Version | None:
        self.steps["read"] += 1
        return await self._store.read(type, id, version)

    async def read_many(self, keys: Sequence[Key]) -> Sequence[Version]:
        self.steps["read_many"] += 1
        return await self._store.read_many(keys)

    async def heads(self, keys: Sequence[Key]) -> Mapping[Key, Version]:
        self.steps["heads"] += 1
        return await self._store.heads(keys)

    async def history(self, query: HistoryQuery) -> HistoryPage:
        self.steps["history"] += 1
        return await self._store.history(query)

    async def search(self, query: Query) -> SearchPage:
        self.steps["search"] += 1
        return await self._store.search(query)


def asks(item: Item, id: str) -> list[tuple[str, str, dict[str, Any]]]:
    """The doors that lead to one resource."""
    address = f"{item.type}/{id}"
    whole = item.versions[0] | {"id": id}
    patched = [{"op": "add", "path": "/language", "value": "en"}]
    return [
        ("GET", address, {}),
        ("GET", f"{address}/_history/1", {}),
        ("GET", f"{address}/_history/7", {}),
        ("GET", f"{address}/_history", {}),
        ("GET", f"{item.type}?_id={id}", {}),
        ("GET", f"{address}?_elements=id", {}),
        ("GET", f"{address}/$meta", {}),
        ("GET", f"{address}/$everything", {}),
        ("PUT", address, {"resource": whole}),
        ("PATCH", address, {"patch": patched}),
        ("DELETE", address, {}),
    ]


@pytest.mark.check("FHA-5")
@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)
@pytest.mark.parametrize("variant", [1, 2])
async def test_the_same_steps(
    caller: Caller, variant: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: Counter[str] = Counter()
    fits = Judge.fits

    def judged(self: Judge, version: Version, expression: Expression) -> bool:
        steps["judged"] += 1
        return fits(self, version, expression)

    monkeypatch.setattr(Judge, "fits", judged)
    there = {item.id: variant for item in hidden(caller)}
    grant = caller.grant
    async with world(tmp_path / "fhir.db", caller, there) as place:
        context = place.context
        assert context.access is not None
        store: Any = Counted(context.store, steps)
        access = Authority(store, context.access.records, context.now, POLICIES)
        place.client.gate = Gate(
            replace(context, store=store, access=access), offered(expunges=False)
        )

        async def taken(ask: tuple[str, str, dict[str, Any]]) -> tuple[int, dict[str, int]]:
            method, url, more = ask
            steps.clear()
            try:
                await place.client.ask(method, url, grant=grant, **more)
            except FhirError as error:
                return error.status, dict(steps)
            return 200, dict(steps)

        await taken(("GET", f"Location/{NOBODY}", {}))  # what is looked up once is known then
        compared = 0
        for item in hidden(caller):
            if caller.sees(item):
                continue
            for theirs, none in zip(asks(item, item.id), asks(item, NOBODY), strict=True):
                expected = await taken(none)
                assert await taken(theirs) == expected, theirs
                compared += sum(expected[1].values())
    assert compared > 0 or caller.name == "support"
