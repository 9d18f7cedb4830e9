"""What becomes of a write when others are faster."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from interactions.client import Client

from fhirserver.errors import Conflict, PreconditionFailed
from fhirserver.interactions import commit
from fhirserver.store.port import Change, Committed, Expectation, Stale, Store, Unchanged

ANNA = {"resourceType": "Patient", "id": "anna", "active": True}


class Contended:
    """A store in which somebody else is faster for some times."""

    def __init__(self, store: Store, times: int) -> None:
        self._store = store
        self.times = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(
        self,
        changes: Sequence[Change],
        before: Sequence[Expectation] = (),
        after: Sequence[Expectation] = (),
        unchanged: Unchanged | None = None,
    ) -> Committed:
        if self.times:
            self.times -= 1
            raise Stale("Somebody was faster.")
        return await self._store.commit(changes, before, after, unchanged)


def contended(client: Client, times: int) -> Client:
    store: Any = Contended(client.context.store, times)
    return Client(replace(client.context, store=store))


async def test_a_write_is_planned_again(client: Client) -> None:
    answer = await contended(client, 40).ask("PUT", "Patient/anna", resource=ANNA)
    assert (answer.status, answer.version) == (201, 1)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "_PATIENCE", 0.2)


@pytest.mark.usefixtures("impatient")
async def test_it_is_given_up_in_the_end(client: Client) -> None:
    with pytest.raises(Conflict) as error:
        await contended(client, 1000).ask("PUT", "Patient/anna", resource=ANNA)
    assert not isinstance(error.value, Stale)
    assert error.value.headers == {"Retry-After": "1"}
    assert (await client.get("_history"))["total"] == 0


@pytest.mark.usefixtures("impatient")
async def test_others_go_on_meanwhile(client: Client) -> None:
    slow = contended(client, 1000)
    with pytest.raises(Conflict):
        await slow.ask("PUT", "Patient/anna", resource=ANNA)
    slow.context.store.times = 0  # type: ignore[attr-defined]
    assert (await slow.ask("PUT", "Patient/anna", resource=ANNA)).status == 201


async def test_who_stated_a_version_is_told_of_the_newer_one(client: Client) -> None:
    await client.put(ANNA)

    class Overtaken(Contended):
        async def commit(self, *args: Any) -> Committed:
            if self.times:
                await client.ask("PUT", "Patient/anna", resource=ANNA | {"active": False})
            return await super().commit(*args)

    store: Any = Overtaken(client.context.store, 1)
    late = Client(replace(client.context, store=store))
    with pytest.raises(PreconditionFailed):
        await late.ask("PUT", "Patient/anna", resource=ANNA | {"gender": "other"}, if_match='W/"1"')
    assert (await client.get("Patient/anna"))["active"] is False
