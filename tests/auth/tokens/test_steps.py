"""What is refused takes the same look-ups, whether there is such a client or token or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
from auth.tokens.world import World, basic

VERBS = ("get", "get_many", "list", "put", "delete")
Ask = Callable[[], Awaitable[httpx2.Response]]


async def taken(world: World, steps: Counter[str], *asks: Ask) -> list[tuple[int, Any]]:
    """Status and steps of each request."""
    found = []
    for ask in asks:
        steps.clear()
        answer = await ask()
        found.append((answer.status_code, sorted(steps.items())))
    return found


@pytest.fixture
def steps(world: World, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the records of the server's store are asked, by verb."""
    counts: Counter[str] = Counter()
    of = type(world.store.records)

    def counting(verb: str) -> Callable[..., Any]:
        real = getattr(of, verb)

        async def asked(self: Any, *arguments: Any, **more: Any) -> Any:
            counts[verb] += 1
            return await real(self, *arguments, **more)

        return asked

    for verb in VERBS:
        monkeypatch.setattr(of, verb, counting(verb))
    return counts


@pytest.mark.check("OAU-13")
async def test_clients(world: World, steps: Counter[str]) -> None:
    await world.client(kind="symmetric")
    await world.client("open")
    await world.client("sleeping", kind="symmetric", suspended=True)
    form = {"grant_type": "refresh_token", "refresh_token": "x"}

    def by_secret(credentials: str) -> Ask:
        headers = {"Authorization": credentials}
        return lambda: world.http.post("/auth/token", data=form, headers=headers)

    def by_name(name: str) -> Ask:
        return lambda: world.http.post("/auth/token", data=form | {"client_id": name})

    refused = [basic("app", "wrong"), basic("nobody"), basic("sleeping"), basic("open")]
    assert len(set(map(str, await taken(world, steps, *map(by_secret, refused))))) == 1
    names = ["app", "nobody", "sleeping"]
    assert len(set(map(str, await taken(world, steps, *map(by_name, names))))) == 1


async def places(world: World) -> list[tuple[str, str]]:
    """Where authorizations and access tokens are kept."""
    return [
        (collection, record.key)
        for collection in ("auth.grant", "auth.access-token")
        for record in await world.store.records.list(collection)
    ]


@pytest.mark.check("OAU-13")
async def test_codes_and_tokens(world: World, steps: Counter[str]) -> None:
    mine, theirs = await world.client("mine", "symmetric"), await world.client("theirs")
    ada = await world.user()
    other = await world.tokens(theirs, ada)
    fresh = await world.grant(theirs, ada)
    kept = set(await places(world))
    gone, code = await world.tokens(theirs, ada), (await world.grant(theirs, ada)).code
    for place in set(await places(world)) - kept:  # there is nothing of these now
        await world.store.records.delete(*place)
    made_up = fresh.code[:-6] + "AAAAAA"
    codes = [
        lambda code=code: world.redeem(mine, code)  # type: ignore[misc]
        for code in (fresh.code, made_up, code)
    ]
    assert len(set(map(str, await taken(world, steps, *codes)))) == 1
    refreshes = [
        lambda token=token: world.refresh(mine, token)  # type: ignore[misc]
        for token in (other["refresh_token"], gone["refresh_token"])
    ]
    assert len(set(map(str, await taken(world, steps, *refreshes)))) == 1
    for path in ("/auth/introspect", "/auth/revoke"):
        for kind in ("access_token", "refresh_token"):
            asks = [
                lambda token=token: world.ask(mine, path, {"token": token})  # type: ignore[misc] # noqa: B023
                for token in (other[kind], gone[kind])
            ]
            assert len(set(map(str, await taken(world, steps, *asks)))) == 1, (path, kind)
    assert await world.is_let_in(other["access_token"])
