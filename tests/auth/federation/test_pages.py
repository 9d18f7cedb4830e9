"""Signing in at another provider, and what of its answers is not believed."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest
from auth.federation.provider import ISSUER, OtherProvider
from auth.sign_in.conftest import clock, identity, place, recorded, store
from auth.sign_in.visit import Recorded, Visit, sign_in
from identity.people import person
from joserfc.jwk import OctKey, RSAKey
from starlette.applications import Starlette
from starlette.routing import Mount
from store.making import Clock

from fhirserver.auth.federation.client import Client
from fhirserver.auth.federation.journeys import Journeys
from fhirserver.auth.federation.pages import federation_routes
from fhirserver.auth.federation.provider import Provider, providers_of
from fhirserver.auth.sign_in.place import Place
from fhirserver.auth.sign_in.routes import sign_in_routes
from fhirserver.identity.account import Link
from fhirserver.identity.identity import Identity
from fhirserver.store.port import ServerStore

__all__ = ["clock", "identity", "place", "recorded", "store"]
LINK = Link(ISSUER, "4711")
Visits = Callable[[], Visit]


@pytest.fixture
def other(clock: Clock) -> OtherProvider:
    return OtherProvider(clock)


@pytest.fixture
def visit(place: Place, store: ServerStore, clock: Clock, other: OtherProvider) -> Visits:
    place = replace(place, providers={"work": "Clinic"})
    provider = Provider(name="Clinic", issuer=ISSUER, client_id="fhirserver")
    client = Client(provider, now=clock, secret="secret", transport=other.transport)
    journeys = Journeys(store.records, now=clock, random=secrets.token_bytes, slots=16)
    routes = [*sign_in_routes(place), *federation_routes(place, journeys, {"work": client})]
    app = Starlette(routes=[Mount("/auth", routes=routes)])

    def made() -> Visit:
        transport = httpx2.ASGITransport(app=app)
        return Visit(httpx2.AsyncClient(transport=transport, base_url="https://fhir.example.org"))

    return made


async def leave(browser: Visit, goal: str = "/auth/account") -> str:
    """The address at the other provider that the browser is sent to."""
    await browser.go("/auth/sign-in")
    answer = await browser.client.get(f"/auth/sign-in/with/work?{urlencode({'next': goal})}")
    assert answer.status_code == 303
    return answer.headers["location"]


async def come_back(browser: Visit, told: dict[str, str]) -> int:
    page = await browser.go(f"/auth/sign-in/from/work?{urlencode(told)}")
    return page.status_code


async def test_who_is_linked_gets_in(
    identity: Identity, visit: Visits, other: OtherProvider, recorded: Recorded
) -> None:
    account = await person(identity)
    await identity.accounts.link(account.id, LINK)
    browser = visit()
    address = await leave(browser, "/auth/account?done=session")
    assert address.startswith(f"{ISSUER}/authorize?response_type=code&")
    assert "code_challenge_method=S256" in address
    assert await come_back(browser, other.authorize(address)) == 200
    assert browser.title == "Your account"
    assert str(browser.page.url).endswith("?done=session")
    assert recorded.kinds == ["sign-in"]
    assert recorded.events[0].detail == (("method", "other provider"),)


async def test_who_leaves_and_never_comes_back_takes_no_more_than_so_many_records(
    visit: Visits, store: ServerStore
) -> None:
    for _ in range(40):
        await leave(visit())
    assert len(await store.records.list("auth.federation")) <= 16


async def test_who_is_not_linked_does_not(
    identity: Identity, visit: Visits, other: OtherProvider, recorded: Recorded
) -> None:
    await person(identity)
    browser = visit()
    assert await come_back(browser, other.authorize(await leave(browser))) == 403
    assert "has no account here" in browser.page.text
    assert browser.session is None
    assert [event.outcome for event in recorded.events] == ["4"]


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://id.example.org/other"},
        {"aud": "another"},
        {"aud": ["fhirserver", "another"]},
        {"azp": "another"},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": 1},
        {"exp": "never"},
        {"iat": 10**12},
        {"sub": ""},
        {"sub": 4711},
    ],
    ids=lambda claims: "-".join(f"{name}={value}" for name, value in claims.items()),
)
async def test_claims_that_do_not_hold(
    identity: Identity, visit: Visits, other: OtherProvider, claims: dict[str, Any]
) -> None:
    account = await person(identity)
    await identity.accounts.link(account.id, LINK)
    browser = visit()
    other.claims = claims
    assert await come_back(browser, other.authorize(await leave(browser))) == 403
    assert browser.session is None


@pytest.mark.check("OAU-12")
@pytest.mark.parametrize("case", ["foreign key", "none", "HS256 of the public key"])
async def test_what_the_provider_did_not_sign(
    identity: Identity, visit: Visits, other: OtherProvider, case: str
) -> None:
    account = await person(identity)
    await identity.accounts.link(account.id, LINK)
    if case == "foreign key":
        other.signs = RSAKey.generate_key(2048, {"kid": "one"})
    elif case == "none":
        other.algorithm = "none"
    else:
        other.algorithm = "HS256"
        other.signs = OctKey.import_key(other.key.as_pem(private=False).decode().encode()[27:91])
    browser = visit()
    assert await come_back(browser, other.authorize(await leave(browser))) == 403


async def test_a_new_key_of_the_provider_is_looked_up(
    identity: Identity, visit: Visits, other: OtherProvider
) -> None:
    account = await person(identity)
    await identity.accounts.link(account.id, LINK)
    for kid in ("one", "two"):
        other.key = RSAKey.generate_key(2048, {"kid": kid})
        browser = visit()
        assert await come_back(browser, other.authorize(await leave(browser))) == 200
    assert sum(path.endswith("/keys") for path in other.asked) == 2


async def test_an_answer_is_good_once_and_in_its_browser_only(
    identity: Identity, visit: Visits, other: OtherProvider, clock: Clock
) -> None:
    account = await person(identity)
    await identity.accounts.link(account.id, LINK)
    one, two = visit(), visit()
    told = other.authorize(await leave(one))
    await leave(two)
    assert await come_back(two, told) == 403
    assert await come_back(one, told) == 200
    assert await come_back(visit(), told) == 403
    late = visit()
    told = other.authorize(await leave(late))
    clock.now += 600_000_000
    assert await come_back(late, told) == 403


@pytest.mark.parametrize(
    "wrong",
    [{"iss": "https://evil.example.org"}, {"iss": None}, {"code": None}, {"state": "another"}],
    ids=["iss", "no iss", "no code", "state"],
)
async def test_an_answer_that_is_not_the_providers(
    identity: Identity, visit: Visits, other: OtherProvider, wrong: dict[str, Any]
) -> None:
    account = await person(identity)
    await identity.accounts.link(account.id, LINK)
    browser = visit()
    told = other.authorize(await leave(browser)) | wrong
    found = {name: value for name, value in told.items() if value is not None}
    assert await come_back(browser, found) == 403


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://id.example.org"},
        {"token_endpoint": "http://id.example.org/token"},
        {"jwks_uri": None},
    ],
    ids=["issuer", "http", "none"],
)
async def test_a_configuration_that_is_not_believed(
    visit: Visits, other: OtherProvider, metadata: dict[str, Any]
) -> None:
    other.metadata = metadata
    browser = visit()
    await browser.go("/auth/sign-in")
    assert (await browser.client.get("/auth/sign-in/with/work")).status_code == 503


async def test_somebody_links_and_unlinks_the_account(
    identity: Identity, visit: Visits, other: OtherProvider, recorded: Recorded
) -> None:
    await person(identity)
    browser = await sign_in(visit())
    page = await browser.send("account/link/work")
    address = page.text.partition('content="0;url=')[2].partition('"')[0].replace("&amp;", "&")
    assert "prompt=login" in address
    assert await come_back(browser, other.authorize(address)) == 200
    assert "The other sign-in was linked" in browser.page.text
    again = visit()
    assert await come_back(again, other.authorize(await leave(again))) == 200
    await browser.go("/auth/account")
    await browser.send("account/unlink")
    assert browser.title == "Your account"
    assert await come_back(visit(), {}) == 403
    gone = visit()
    assert await come_back(gone, other.authorize(await leave(gone))) == 403
    assert recorded.kinds.count("account-changed") == 2


async def test_to_prove_it_again_it_must_be_proved_there_again(
    identity: Identity, visit: Visits, other: OtherProvider, clock: Clock
) -> None:
    account = await person(identity)
    await identity.accounts.link(account.id, LINK)
    browser = await sign_in(visit())
    clock.now += 10 * 60_000_000
    other.claims = {"auth_time": clock.now // 1_000_000 - 600}
    address = (await browser.client.get("/auth/sign-in/with/work")).headers["location"]
    assert "max_age=0" in address
    assert await come_back(browser, other.authorize(address)) == 403
    other.claims = {}
    address = (await browser.client.get("/auth/sign-in/with/work")).headers["location"]
    first = browser.session
    assert await come_back(browser, other.authorize(address)) == 200
    assert browser.session != first
    await browser.go("/auth/account/password")
    assert browser.title == "Change your password"


def test_providers_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_text(f'[work]\nname = "Clinic"\nissuer = "{ISSUER}"\nclient_id = "fhirserver"\n')
    assert providers_of(file)["work"].scopes == ("openid",)
    for wrong in (
        '[work]\nname = "Clinic"\n',
        '[work]\nname = "C"\nissuer = "http://id.example.org"\nclient_id = "f"\n',
        '["a b"]\nname = "C"\nissuer = "https://id.example.org"\nclient_id = "f"\n',
        '[work]\nname = "C"\nissuer = "https://id.example.org"\nclient_id = "f"\nsecret = "x"\n',
        "[work",
    ):
        file.write_text(wrong)
        with pytest.raises(ValueError, match=r"providers\.toml"):
            providers_of(file)
