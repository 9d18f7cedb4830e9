"""How many match: not at all, roughly, or exactly as long as that does not cost too much.

https://hl7.org/fhir/R4/search.html#total
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from interactions.client import Client, ids, link, now, open_context
from store.making import put

from fhirserver.errors import TooCostly
from fhirserver.search.entry import String
from fhirserver.search.expression import Query
from fhirserver.store.port import SearchPage, Store
from fhirserver.store.sqlite import SqliteStore


class Weary:
    """A store that has no time to count."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def search(self, query: Query) -> SearchPage:
        if query.total and not query.estimate:
            raise TooCostly("The search takes too long.")
        return await self._store.search(query)


@pytest.fixture
async def crowd(client: Client) -> Client:
    await client.put(*({"resourceType": "Patient", "id": f"p{n}"} for n in range(7)))
    return client


def weary(client: Client) -> Client:
    return Client(replace(client.context, store=Weary(client.context.store)))


async def test_a_total_that_costs_too_much_is_left_out_and_told(crowd: Client) -> None:
    found = await weary(crowd).get("Patient?_total=accurate&_count=3")
    assert "total" not in found
    assert len(ids(found)) == 3
    (outcome,) = [e["resource"] for e in found["entry"] if e["search"]["mode"] == "outcome"]
    (issue,) = outcome["issue"]
    assert (issue["severity"], issue["code"]) == ("warning", "too-costly")
    assert "_total=estimate" in issue["diagnostics"]
    rest = await weary(crowd).get(link(found, "next") or "")
    assert len(ids(rest)) == 3
    assert "total" not in rest


async def test_where_only_a_total_is_asked_for_there_is_nothing_to_give(crowd: Client) -> None:
    with pytest.raises(TooCostly):
        await weary(crowd).get("Patient?_summary=count")
    with pytest.raises(TooCostly):
        await weary(crowd).get("Patient?_count=0")
    found = await weary(crowd).get("Patient?_summary=count&_total=estimate")
    assert found["total"] == 7


async def test_a_page_that_holds_all_has_an_exact_total(crowd: Client) -> None:
    assert (await weary(crowd).get("Patient?_total=estimate"))["total"] == 7


@pytest.mark.parametrize("total", ["estimate", "accurate"])
async def test_all_pages_tell_the_total_of_the_first(crowd: Client, total: str) -> None:
    found = await crowd.get(f"Patient?_total={total}&_count=3")
    await crowd.put({"resourceType": "Patient", "id": "late"})
    rest = await crowd.get(link(found, "next") or "")
    assert (found["total"], rest["total"]) == (7, 7)


async def test_a_count_that_takes_too_long_on_a_real_store(tmp_path: Path) -> None:
    """Each of many conditions looks at all texts; the first page is found long before."""
    async with open_context(tmp_path / "fhir.db") as context:
        texts = tuple(String(f"{n} {'text ' * 20}", f"{n}") for n in range(10))
        hasty = SqliteStore.open(tmp_path / "hasty.db", clock=now, patience=0.2)
        try:
            await hasty.commit(
                [put("Patient", f"{n:04}", entries={"name": texts}) for n in range(3000)]
            )
            conditions = " and ".join(f'not (name co "none{n}")' for n in range(60))
            found = await Client(replace(context, store=hasty)).get(
                f"Patient?_count=1&_total=accurate&_filter={quote(conditions)}"
            )
        finally:
            await hasty.close()
    assert ids(found) == ["Patient/0000"]
    assert "total" not in found
    assert found["entry"][-1]["resource"]["issue"][0]["code"] == "too-costly"
