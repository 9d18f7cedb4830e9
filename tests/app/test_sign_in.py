"""The sign-in pages of the whole server: what is on record, and tenants apart."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from auth.sign_in.visit import Visit, sign_in
from identity.people import PASSWORD
from serving import started
from stores import url_of

from fhirserver import Settings, create_app
from fhirserver.app import open_identity, tenant_settings, tenant_table, whole_store
from fhirserver.app.tenants import Tenant


def settings_of(data: Path) -> Settings:
    url = url_of(data)
    return Settings(data=data, auth="smart", **({"store": url} if url else {}))


@asynccontextmanager
async def visits(settings: Settings) -> AsyncIterator[httpx2.ASGITransport]:
    """What browsers reach the running server by."""
    app = create_app(settings)
    async with started(app):
        yield httpx2.ASGITransport(app=app)


def browser_of(transport: httpx2.ASGITransport) -> Visit:
    return Visit(httpx2.AsyncClient(transport=transport, base_url="http://localhost:8080"))


async def add(settings: Settings, name: str) -> None:
    """An account whose owner has chosen the password."""
    async with open_identity(settings) as (identity, _):
        account, _ = await identity.administration.add(name, roles=("admin",))
        await identity.credentials.choose(account, PASSWORD)


@pytest.mark.check("AUD-5")
async def test_sign_ins_are_in_the_audit_trail(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    await add(settings, "anna")
    async with visits(settings) as transport:
        browser = await sign_in(browser_of(transport), "anna", "Wrong-Vane 42")
        assert browser.title == "Sign in"
        await browser.send("sign-in", name="anna", password=PASSWORD)
        assert browser.title == "Your account"
    async with whole_store(settings) as store:
        kept = [json.loads(version.body or b"{}") async for version in store.scan("AuditEvent")]
    logins = [one for one in kept if any(s["code"] == "110122" for s in one.get("subtype", ()))]
    assert sorted(one["outcome"] for one in logins) == ["0", "4"]
    assert "Vane" not in json.dumps(kept)


async def test_a_session_of_one_tenant_is_none_of_another(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    async with tenant_table(settings) as table:
        await table.create(Tenant(name="north", created=1))
    await add(settings, "anna")
    await add(await tenant_settings(settings, "north"), "berta")
    async with visits(settings) as transport:
        browser = await sign_in(browser_of(transport), "anna")
        assert browser.title == "Your account"
        page = await browser.go("/t/north/auth/account")
        assert browser.title == "Sign in"
        assert str(page.url).startswith("http://localhost:8080/t/north/auth/sign-in?")
        await browser.send("sign-in", name="anna", password=PASSWORD)
        assert browser.title == "Sign in"
        await browser.send("sign-in", name="berta", password=PASSWORD)
        assert browser.title == "Your account"
        assert "berta" in browser.page.text
        await browser.go("/auth/account")
        assert "anna" in browser.page.text
        session = browser.client.cookies.get("fhirserver-session")
        stranger = browser_of(transport)
        stranger.client.cookies.set("fhirserver-session-north", session or "")
        await stranger.go("/t/north/auth/account")
        assert stranger.title == "Sign in"
