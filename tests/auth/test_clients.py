"""Other people's clients against the server over HTTP: fhirclient and Authlib (Python)."""

from __future__ import annotations

import asyncio
import hashlib
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from launching import APP, ISSUER, Browser, body, hospital
from live import listening

fhirclient = pytest.importorskip("fhirclient.client")
requests_client = pytest.importorskip("authlib.integrations.requests_client")

SCOPE = "openid fhirUser launch/patient offline_access patient/Patient.rs patient/Observation.rs"


@pytest.fixture
async def site(tmp_path):
    async with hospital(tmp_path) as place:
        await place.client()
        secret = hashlib.sha256(b"a secret").digest()
        await place.client("secret-app", kind="symmetric", secret_hash=secret)
        async with listening(place.app) as origin:
            yield place, origin


async def allowed(place, origin, address: str) -> str:
    """Where the browser of a patient is sent who allows everything."""
    begun = await place.authorization.identity.sessions.begin(place.people["ann"], ("pwd",))
    async with httpx2.AsyncClient(base_url=origin) as http:
        http.cookies.set("fhirserver-session", begun.cookie)
        browser = Browser(http, origin)
        page = await browser.get(address)
        back = await browser.send(page, ("answer", "allow"))
    return back.headers["location"]


async def test_fhirclient(site):
    place, origin = site
    settings = {
        "app_id": "app",
        "api_base": f"{origin}/fhir",
        "redirect_uri": APP,
        "scope": SCOPE,
    }
    smart = await asyncio.to_thread(fhirclient.FHIRClient, settings=settings)
    await asyncio.to_thread(smart.prepare)
    back = await allowed(place, origin, smart.authorize_url)
    await asyncio.to_thread(smart.handle_callback, back)

    patient = await asyncio.to_thread(lambda: smart.patient)
    found = await asyncio.to_thread(smart.server.request_json, "Observation?patient=a")
    await asyncio.to_thread(smart.reauthorize)

    assert patient.id == "a"
    assert [entry["resource"]["id"] for entry in found["entry"]] == ["o-a"]
    assert smart.ready


@pytest.mark.check("OAU-6")
@pytest.mark.parametrize("client", ["app", "secret-app"])
async def test_authlib(site, client):
    place, origin = site
    known = await asyncio.to_thread(_json, f"{origin}/fhir/.well-known/smart-configuration")
    session = requests_client.OAuth2Session(
        client,
        "a secret" if client == "secret-app" else None,
        scope=SCOPE,
        redirect_uri=APP,
        code_challenge_method="S256",
        token_endpoint_auth_method="client_secret_basic" if client == "secret-app" else "none",
    )
    verifier = "a-verifier-that-is-long-enough-for-the-rules-of-pkce-0123456789"
    address, state = session.create_authorization_url(
        known["authorization_endpoint"], code_verifier=verifier, aud=f"{origin}/fhir"
    )
    back = await allowed(place, origin, address)
    answer = dict(parse_qsl(urlsplit(back).query))
    token = await asyncio.to_thread(
        session.fetch_token,
        known["token_endpoint"],
        authorization_response=back,
        state=state,
        code_verifier=verifier,
    )
    read = await asyncio.to_thread(session.get, f"{origin}/fhir/Patient/{token['patient']}")
    fresh = await asyncio.to_thread(session.refresh_token, known["token_endpoint"])

    assert answer["iss"] == known["issuer"]
    assert read.status_code == 200
    assert fresh["access_token"] != token["access_token"]


STANDALONE = {
    "launch-standalone", "client-public", "client-confidential-symmetric",
    "client-confidential-asymmetric", "sso-openid-connect", "context-standalone-patient",
    "permission-offline", "permission-patient", "authorize-post", "permission-v2",
    "permission-v1",
}  # fmt: skip
WITHIN = {
    "launch-ehr", "client-confidential-symmetric", "client-confidential-asymmetric",
    "sso-openid-connect", "context-banner", "context-style", "context-ehr-patient",
    "permission-offline", "permission-user", "authorize-post", "permission-v2",
    "permission-v1", "context-ehr-encounter",
}  # fmt: skip


@pytest.mark.check("G10-1")
@pytest.mark.check("G10-2")
async def test_the_configuration_tells_what_the_server_can(tmp_path):
    async with hospital(tmp_path) as place, place.browser() as browser:
        told = body(await browser.http.get("/fhir/.well-known/smart-configuration"))

    assert set(told["capabilities"]) >= STANDALONE | WITHIN | {"smart-app-state"}
    assert told["management_endpoint"] == f"{ISSUER}/apps"
    assert told["smart_app_state_endpoint"] == f"{ISSUER}/app-state"
    assert told["authorization_response_iss_parameter_supported"] is True


def _json(address: str):
    return httpx2.get(address).json()
