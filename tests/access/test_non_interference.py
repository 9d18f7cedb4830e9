"""A caller cannot tell two worlds apart that differ only in what the caller may not see.

The strongest form of the leak matrix: the same generated requests, through the gate, have the
same answers to the last byte: status, totals, order, ETags, texts of refusals, pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from access.asking import READS, WRITES, Ask, told
from access.worlds import BY_NAME, CALLERS, Caller, World, hidden, world
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from interactions.bundles import quick_folder

from fhirserver.app.audit import trail_of
from fhirserver.audit.patients import Patients
from fhirserver.interactions.accesses import Accesses
from fhirserver.interactions.dispatch import Gate
from fhirserver.operations.table import offered
from fhirserver.settings import Settings

pytestmark = [
    pytest.mark.check("FHA-1"),
    pytest.mark.check("FHA-5"),
    pytest.mark.check("FHA-6"),
    pytest.mark.check("FHA-14"),
]

EACH = pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.name)


def variants(caller: Caller) -> st.SearchStrategy[dict[str, int]]:
    """Which of what the caller may not see is there, and what it says."""
    return st.fixed_dictionaries({item.id: st.integers(0, 2) for item in hidden(caller)})


@asynccontextmanager
async def recorded(place: World, folder: Path) -> AsyncIterator[None]:
    """While it lasts, what passes the gate is in an audit trail."""
    store: Any = place.context.store
    trail = trail_of(Settings(auth="none", data=folder, audit="on"), store)
    patients = Patients(place.context.definitions, place.context.indexer)
    accesses = Accesses(trail, patients, place.context.now)
    place.client.gate = Gate(place.context, offered(expunges=True), accesses=accesses)
    try:
        yield
    finally:
        await trail.close()


async def compare(
    folder: Path,
    caller: Caller,
    one: dict[str, int],
    other: dict[str, int],
    asks: list[Ask],
    *,
    records: bool = False,
) -> None:
    grant = caller.grant
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(world(folder / "one.db", caller, one))
        second = await stack.enter_async_context(world(folder / "other.db", caller, other))
        for place, name in ((first, "one"), (second, "other")):
            if records:
                await stack.enter_async_context(recorded(place, folder / name))
        for ask in asks:
            expected = await told(first, caller, ask, grant)
            assert await told(second, caller, ask, grant) == expected, repr(ask)
            first.clock[0] += 1_000_000
            second.clock[0] = first.clock[0]


def check(
    caller: Caller,
    requests: st.SearchStrategy[list[Ask]],
    examples: int,
    *,
    records: bool = False,
) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink takes minutes
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(variants(caller), variants(caller), requests)
    def holds(one: dict[str, int], other: dict[str, int], asks: list[Ask]) -> None:
        with quick_folder() as folder:
            asyncio.run(compare(Path(folder), caller, one, other, asks, records=records))

    holds()


@pytest.mark.slow_on_mongodb
@EACH
def test_reads_tell_nothing(caller: Caller, each_store: str) -> None:
    check(caller, st.lists(READS, min_size=20, max_size=30), 3)


@pytest.mark.slow_on_mongodb
@EACH
def test_writes_tell_nothing(caller: Caller, each_store: str) -> None:
    check(caller, st.lists(st.one_of(WRITES, WRITES, READS), min_size=6, max_size=12), 3)


@pytest.mark.check("AUD-4")
@pytest.mark.parametrize("name", ["doctor", "nurse"])
def test_what_is_recorded_of_decisions_tells_nothing(name: str) -> None:
    asks = st.one_of(READS, READS, WRITES)
    check(BY_NAME[name], st.lists(asks, min_size=20, max_size=30), 3, records=True)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@EACH
def test_many_reads_tell_nothing(caller: Caller) -> None:
    check(caller, st.lists(READS, min_size=30, max_size=60), 80)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@EACH
def test_many_writes_tell_nothing(caller: Caller) -> None:
    check(caller, st.lists(st.one_of(WRITES, WRITES, READS), min_size=6, max_size=14), 150)
