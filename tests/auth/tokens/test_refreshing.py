"""Refresh tokens: what they give, when they rotate, when they end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from auth.tokens.world import World

from fhirserver.auth.authorizations import COLLECTION
from fhirserver.identity.accounts import Accounts
from fhirserver.identity.sessions import Sessions

KINDS = ("public", "symmetric", "asymmetric")
DAY = 24 * 3600


def refused(answer: Any) -> bool:
    return bool(answer.status_code == 400 and answer.json()["error"] == "invalid_grant")


@pytest.mark.check("REF-1")
@pytest.mark.check("REF-2")
@pytest.mark.check("TOK-4")
@pytest.mark.parametrize("kind", KINDS)
async def test_refreshing(world: World, kind: str) -> None:
    client = await world.client(kind=kind)
    body = await world.tokens(client, await world.user(), patient="a")
    for scope in (None, body["scope"]):
        form = {} if scope is None else {"scope": scope}
        answer = await world.refresh(client, body["refresh_token"], **form)
        assert answer.status_code == 200
        assert "no-store" in answer.headers["cache-control"]
        assert "no-cache" in answer.headers["pragma"]
        assert answer.json()["scope"] == body["scope"]
        assert answer.json()["token_type"] == "Bearer"
        assert type(answer.json()["expires_in"]) is int
        assert answer.json()["patient"] == "a"
        rotated = answer.json()["refresh_token"] != body["refresh_token"]
        assert rotated == (kind == "public")
        body = answer.json()
        assert await world.is_let_in(body["access_token"])


@pytest.mark.check("SEC-6")
async def test_a_refresh_never_widens(world: World) -> None:
    client = await world.client(kind="symmetric")
    body = await world.tokens(client, await world.user())
    for scope in ("user/*.cruds", "openid user/*.rs system/*.rs", "patient/*.rs", "no scope"):
        answer = await world.refresh(client, body["refresh_token"], scope=scope)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    less = await world.refresh(client, body["refresh_token"], scope="user/Patient.r")
    assert less.json()["scope"] == "user/Patient.r"
    again = await world.refresh(client, body["refresh_token"])
    assert again.json()["scope"] == body["scope"]


@pytest.mark.check("SEC-6")
@pytest.mark.check("G10-8")
async def test_a_refresh_token_is_its_clients(world: World) -> None:
    client, other = await world.client(), await world.client("other", kind="symmetric")
    body = await world.tokens(client, await world.user())
    assert refused(await world.refresh(other, body["refresh_token"]))
    for token in ("x", "A" * 86, body["access_token"], body["refresh_token"][:-4] + "AAAA"):
        answer = await world.refresh(other, token)
        assert answer.status_code == 400
    assert (await world.refresh(client, body["refresh_token"])).status_code == 200


@pytest.mark.check("BCP-14")
@pytest.mark.check("OAU-4")
async def test_a_stolen_refresh_token_is_found_out(world: World) -> None:
    client = await world.client()
    body = await world.tokens(client, await world.user())
    stolen = body["refresh_token"]
    second = (await world.refresh(client, stolen)).json()
    world.clock.move(21)
    assert await world.is_let_in(second["access_token"])
    assert refused(await world.refresh(client, stolen))
    assert not await world.is_let_in(second["access_token"])
    assert refused(await world.refresh(client, second["refresh_token"]))


async def test_a_lost_answer_can_be_asked_for_again(world: World) -> None:
    client = await world.client()
    first = (await world.tokens(client, await world.user()))["refresh_token"]
    second = (await world.refresh(client, first)).json()["refresh_token"]
    world.clock.move(10)
    assert (await world.refresh(client, first)).json()["refresh_token"] == second
    third = (await world.refresh(client, second)).json()["refresh_token"]
    assert third not in (first, second)
    # The first is two steps back now, and so in the wrong hands, however early it comes.
    assert refused(await world.refresh(client, first))
    assert refused(await world.refresh(client, third))


async def test_garbage_with_the_right_name_ends_nothing(world: World) -> None:
    client = await world.client()
    body = await world.tokens(client, await world.user())
    head = body["refresh_token"][:22]  # its 16 bytes name the record
    garbage = head + "A" * (len(body["refresh_token"]) - len(head))
    assert refused(await world.refresh(client, garbage))
    assert (await world.refresh(client, body["refresh_token"])).status_code == 200


@pytest.mark.check("OAU-5")
async def test_a_refresh_token_slides_and_ends(world: World) -> None:
    client, user = await world.client(kind="symmetric"), await world.user()
    token = (await world.tokens(client, user))["refresh_token"]
    for _ in range(7):
        world.clock.move(99 * DAY)
        assert (await world.refresh(client, token)).status_code == 200
    world.clock.move(38 * DAY)  # 731 days since the user was asked
    assert refused(await world.refresh(client, token))
    token = (await world.tokens(client, user))["refresh_token"]
    world.clock.move(101 * DAY)
    assert refused(await world.refresh(client, token))


async def test_without_a_scope_for_it_there_is_no_refresh_token(world: World) -> None:
    client = await world.client()
    body = await world.tokens(client, await world.user(), scopes=("openid", "user/*.rs"))
    assert "refresh_token" not in body
    assert await world.is_let_in(body["access_token"])


@pytest.mark.check("SEC-6")
async def test_online_access_ends_with_the_session(world: World) -> None:
    client, user = await world.client(), await world.user()
    accounts = Accounts(world.store.records, now=world.clock, new_id=str)
    sessions = Sessions(
        world.store.records, accounts, now=world.clock, random=lambda size: b"s" * size
    )
    begun = await sessions.begin(user, ("pwd",))
    fields = {"session": begun.session.key, "scopes": ("online_access", "user/*.rs")}
    online = await world.tokens(client, user, **fields)
    fields["scopes"] = ("offline_access", "user/*.rs")
    offline = await world.tokens(client, user, **fields)
    online = (await world.refresh(client, online["refresh_token"])).json()
    assert await world.is_let_in(online["access_token"])
    await sessions.end(begun.session.key)
    assert not await world.is_let_in(online["access_token"])
    assert refused(await world.refresh(client, online["refresh_token"]))
    assert await world.is_let_in(offline["access_token"])
    assert (await world.refresh(client, offline["refresh_token"])).status_code == 200


@pytest.mark.check("OAU-11")
async def test_who_may_not_go_on(world: World) -> None:
    client, user = await world.client(), await world.user()
    body = await world.tokens(client, user)

    async def goes_on() -> bool:
        refreshed = await world.refresh(client, body["refresh_token"])
        if refreshed.status_code == 200:
            body.update(refreshed.json())
        let_in = await world.is_let_in(body["access_token"])
        assert let_in == (refreshed.status_code == 200)
        return let_in

    assert await goes_on()
    await world.accounts.change(user.id, lambda old: msgspec.structs.replace(old, state="locked"))
    assert not await goes_on()
    await world.accounts.change(user.id, lambda old: msgspec.structs.replace(old, state="active"))
    assert await goes_on()
    await world.clients.change(client.id, suspended=True)
    assert not await goes_on()
    await world.clients.change(client.id, suspended=False)
    assert await goes_on()
    await world.accounts.remove(user.id)
    assert not await goes_on()


@pytest.mark.check("SEC-7")
@pytest.mark.check("TOK-6")
async def test_what_a_client_may_no_longer_have(world: World) -> None:
    client = await world.client(scopes=("openid", "offline_access", "fhirUser", "user/*.rs"))
    body = await world.tokens(client, await world.user())
    await world.clients.change(client.id, scopes=("offline_access", "user/Patient.r"))
    answer = await world.refresh(client, body["refresh_token"])
    assert answer.json()["scope"] == "offline_access user/Patient.r"


@pytest.mark.check("G10-12")
async def test_what_the_user_revokes_ends_at_once(world: World) -> None:
    client, user = await world.client(), await world.user()
    body = await world.tokens(client, user)
    (found,) = await world.authorizations.of_user(user.id)
    assert found.client == client.id
    assert await world.authorizations.revoke(found.id, "user")
    assert not await world.is_let_in(body["access_token"])
    assert refused(await world.refresh(client, body["refresh_token"]))
    assert await world.authorizations.of_user(user.id) == []
    assert not await world.authorizations.revoke(found.id, "user")


@pytest.mark.check("OAU-11")
async def test_no_secret_is_kept(world: World) -> None:
    client = await world.client()
    granted = await world.grant(client, await world.user())
    body = (await world.redeem(client, granted.code)).json()
    body2 = (await world.refresh(client, body["refresh_token"])).json()
    kept = b""
    for collection in (COLLECTION, "auth.access-token", "auth.grant-of-user"):
        for record in await world.store.records.list(collection):
            kept += record.key.encode() + record.body
    for name in ("access_token", "refresh_token"):
        for text in (body[name], body2[name]):
            assert text.encode() not in kept
            assert text[-40:].encode() not in kept
    assert granted.code[-40:].encode() not in kept
