"""Rough totals: right when few, near the truth when many, and of a cost that does not grow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from store.making import Clock, put

from fhirserver.search.entry import Entries, Token
from fhirserver.search.expression import And, Expression, Not, Query, TokenIs, TokenValue
from fhirserver.store.sqlite import SqliteStore, estimate, plan

RESOURCES = 6000


def coded(n: int) -> Entries:
    return {
        "half": (Token("", "a" if n % 2 else "b"),),
        "third": (Token("", "a" if n % 3 else "b"),),
        "late": (Token("", "a" if n > RESOURCES * 0.7 else "b"),),
        "rare": (Token("", "a" if n % 1000 == 3 else "b"),),
    }


def is_a(param: str) -> TokenIs:
    return TokenIs(param, (TokenValue(None, "a"),))


@pytest.fixture
async def store(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SqliteStore]:
    monkeypatch.setattr(plan, "PROBES", (32, 100))
    monkeypatch.setattr(plan, "_FEW", 100)
    monkeypatch.setattr(estimate, "WINDOWS", 32)
    monkeypatch.setattr(estimate, "WIDTH", 16)
    opened = SqliteStore.open(tmp_path / "fhir.db", clock=clock)
    await opened.commit([put("Patient", str(n), entries=coded(n)) for n in range(RESOURCES)])
    yield opened
    await opened.close()


@pytest.mark.parametrize(
    ("where", "truth"),
    [
        (And(()), 6000),
        (is_a("half"), 3000),
        (And((is_a("half"), is_a("third"))), 2000),
        (Not(is_a("third")), 2000),
        (is_a("late"), 1799),
        (And((is_a("late"), is_a("half"))), 900),
    ],
)
async def test_an_estimate_of_many_is_near(
    store: SqliteStore, where: Expression, truth: int
) -> None:
    page = await store.search(Query(("Patient",), where, count=5, total=True, estimate=True))
    assert page.total is not None
    assert 0.75 * truth < page.total < 1.25 * truth


async def test_an_estimate_of_few_is_exact(store: SqliteStore) -> None:
    page = await store.search(Query(("Patient",), is_a("rare"), count=2, total=True, estimate=True))
    assert page.total == 6


async def test_an_estimate_is_not_less_than_what_is_seen(store: SqliteStore) -> None:
    where = And((is_a("half"), is_a("third"), Not(Not(is_a("rare")))))
    for count in (1, 3, 50):
        query = Query(("Patient",), where, count=count, total=True, estimate=True)
        page = await store.search(query)
        assert page.total is not None
        assert page.total >= len(page.versions) + (page.next is not None)


async def test_only_a_sample_is_counted(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = 0
    count: Callable[..., int] = estimate.Estimator._count

    def counted(self: estimate.Estimator, rows: object) -> int:
        nonlocal looked_at
        found = count(self, rows)
        looked_at += found
        return found

    monkeypatch.setattr(estimate.Estimator, "_count", counted)
    await store.search(Query(("Patient",), And(()), count=0, total=True, estimate=True))
    assert looked_at == 32 * 16
