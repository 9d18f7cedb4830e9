"""What changes who may get in, from the page or the command to the AuditEvent in the store."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from launching import APP, answer_of, asked, body, hospital, redeemed
from typer.testing import CliRunner

from fhirserver.app import whole_store
from fhirserver.auth.sign_in import idle
from fhirserver.cli import client, user
from fhirserver.cli.signing_keys import rotate_signing_key
from fhirserver.identity.session import MINUTE, decode, encode
from fhirserver.settings import Settings
from fhirserver.settings.reading import read

pytestmark = pytest.mark.check("AUD-5")

ALLOW = ("answer", "allow")
DENY = ("answer", "deny")


async def events(settings: Settings) -> list[dict[str, Any]]:
    """What is on record."""
    async with whole_store(settings) as store:
        return [json.loads(version.body or b"{}") async for version in store.scan("AuditEvent")]


async def recorded(settings: Settings) -> Counter[str]:
    """The subtypes of what is on record."""
    kept = await events(settings)
    return Counter(one["subtype"][0]["code"] for one in kept if "subtype" in one)


def done(command: Callable[..., Any], *arguments: str) -> str:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    id = done(client.add, "My app", "--redirect-uri", APP).split()[1]
    done(client.app_state, id, "https://a.test/c|x")
    done(client.suspend, id)
    done(client.resume, id)
    done(client.remove, id, "--yes")
    done(user.add, "anna", "--role", "doctor")
    done(user.roles, "anna", "nurse")
    done(user.password, "anna")
    done(user.reset, "anna")
    done(user.lock, "anna")
    done(user.unlock, "anna")
    done(user.link, "anna", "https://id.test", "subject")
    done(user.remove, "anna", "--yes")
    done(rotate_signing_key)
    found = asyncio.run(recorded(read()))
    expected = {
        "client-registered": 1,
        "client-changed": 3,
        "client-removed": 1,
        "account-created": 1,
        "110136": 1,  # Security Roles Changed
        "password-changed": 1,
        "second-factor-reset": 1,
        "account-disabled": 2,  # locked, removed
        "110137": 2,  # User Security Attributes Changed: unlocked, linked
        "keys-changed": 1,
    }
    assert {code: found[code] for code in expected} == expected


async def test_pages_and_apps(tmp_path: Path) -> None:
    scope = "openid launch/patient patient/Patient.rs offline_access"
    async with hospital(tmp_path, client_registration="open") as place:
        await place.client()
        async with place.browser("ann") as browser:
            page = await browser.get("/auth/authorize", **asked(scope=scope))
            answer_of(await browser.send(page, DENY))
            page = await browser.get("/auth/authorize", **asked(scope=scope))
            code = answer_of(await browser.send(page, ALLOW))["code"]
            first = body(await redeemed(browser, code))["refresh_token"]
            form = {"grant_type": "refresh_token", "client_id": "app", "refresh_token": first}
            second = body(await browser.http.post("/auth/token", data=form))["refresh_token"]
            revoked = {"client_id": "app", "token": second}
            assert (await browser.http.post("/auth/revoke", data=revoked)).status_code == 200
            page = await browser.get("/auth/authorize", **asked(scope=scope))
            code = answer_of(await browser.send(page, ALLOW))["code"]
            assert (await redeemed(browser, code)).status_code == 200
            await browser.send(await browser.get("/auth/apps"))  # takes the access back
            page = await browser.get("/auth/authorize", **asked(scope=scope))
            code = answer_of(await browser.send(page, ALLOW))["code"]
            assert [(await redeemed(browser, code)).status_code for _ in "12"] == [200, 400]
            metadata = {"client_name": "x", "redirect_uris": [APP]}
            assert (await browser.http.post("/auth/register", json=metadata)).status_code == 201
    found = await recorded(read(data=tmp_path))
    expected = {
        "grant-denied": 1,
        "grant-given": 3,
        "grant-revoked": 2,
        "token-issued": 3,
        "token-refreshed": 1,
        "token-reused": 1,
        "client-registered": 1,
    }
    assert {code: found[code] for code in expected} == expected


async def test_who_asks_for_too_much_is_recorded_once(tmp_path: Path) -> None:
    async with hospital(tmp_path, limit_client="30/hour") as place:
        await place.client()
        async with place.browser("ann") as browser:
            page = await browser.get("/auth/authorize", **asked(scope="patient/Patient.rs"))
            code = answer_of(await browser.send(page, ALLOW))["code"]
            token = body(await redeemed(browser, code))["access_token"]
        async with place.browser() as app:
            headers = {"Authorization": f"Bearer {token}"}
            asks = [await app.http.get("/fhir/Patient/a", headers=headers) for _ in range(60)]
        assert [answer.status_code for answer in asks].count(429) >= 30
    (event,) = [one for one in await events(read(data=tmp_path)) if is_of(one, "limit-exceeded")]
    assert event["outcome"] == "4"
    assert any("altId" in agent for agent in event["agent"])
    assert event["entity"][-1]["detail"] == [{"type": "limit", "valueString": "client"}]


def is_of(event: dict[str, Any], subtype: str) -> bool:
    return any(one["code"] == subtype for one in event.get("subtype", ()))


async def test_a_server_locks_sessions_that_nobody_comes_back_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "_SECONDS", 0.05)
    async with hospital(tmp_path) as place:
        async with place.browser("ann"):
            pass
        records = place.app._running.store.records
        (record,) = await records.list("identity.session")
        session = decode(record.body)
        old = msgspec.structs.replace(session, seen=session.seen - 15 * MINUTE)
        await records.put("identity.session", record.key, encode(old), expires=old.until)
        while not decode((await records.get("identity.session", record.key)).body).locked:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await recorded(read(data=tmp_path)))["session-locked"] == 1
