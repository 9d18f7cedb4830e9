"""Launches in a real browser (Chromium), with the SMART project's own JavaScript client.

The app's pages come from another origin than the server, as they would in life. The client is
fetched once with `npm pack` and kept; without npm or Chromium these tests are skipped.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import time
import uuid
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from launching import hospital
from live import listening
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

playwright = pytest.importorskip("playwright.async_api")

CHROMIUM = shutil.which("chromium")
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fhirserver-tests"
PASSWORD = "heron-larch-otter-tulip-willow"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

_PAGE = (
    "<!doctype html><meta charset=utf-8>"
    "<script src=fhir-client.js></script><script src={}></script>"
)
_LAUNCH = """
const asked = new URLSearchParams(location.search);
const keys = KEYS;
FHIR.oauth2.authorize({
  clientId: asked.get("client") || "app",
  clientPrivateJwk: keys[asked.get("client")],
  clientSecret: asked.get("secret") || undefined,
  scope: asked.get("scope") || "launch openid fhirUser patient/Patient.rs patient/Observation.rs",
  redirectUri: location.origin + "/index.html",
  iss: asked.get("iss"), pkceMode: "required",
}).catch((error) => { document.title = "failed: " + error.message; });
"""
_INDEX = """
FHIR.oauth2.ready().then(async (client) => {
  const patient = await client.patient.read();
  const found = await client.request(`Observation?patient=${patient.id}`, { flat: true });
  const user = await client.user.read();
  let refreshed = null;
  // Version 2.6 sends no assertion with a refresh (Client.js, refresh).
  if (client.state.tokenResponse.refresh_token && !client.state.clientPrivateJwk) {
    await client.refresh();
    refreshed = (await client.patient.read()).id;
  }
  window.seen = {
    patient: patient.id, encounter: client.encounter.id, observations: found.map((item) => item.id),
    user: `${user.resourceType}/${user.id}`, scope: client.state.tokenResponse.scope, refreshed,
    banner: client.state.tokenResponse.need_patient_banner,
    refreshToken: client.state.tokenResponse.refresh_token,
  };
  document.title = "ready";
}).catch((error) => { document.title = "failed: " + error.message; });
"""


@pytest.fixture(scope="session")
def fhirclient() -> bytes:
    """The program of the SMART project's client."""
    found = sorted(CACHE.glob("fhirclient-2*.tgz"))
    if not found:
        if shutil.which("npm") is None:
            pytest.skip("npm is not installed")
        CACHE.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["npm", "pack", "fhirclient@2", "--silent"], cwd=CACHE, timeout=120, check=False
        )
        found = sorted(CACHE.glob("fhirclient-2*.tgz"))
        if done.returncode or not found:
            pytest.skip("npm has no fhirclient for us")
    with tarfile.open(found[-1]) as archive:
        member = archive.extractfile("package/build/fhir-client.pure.min.js")
        assert member is not None
        return member.read()


KEYS = {
    "ES384": ECKey.generate_key("P-384", parameters={"kid": "ec"}),
    "RS384": RSAKey.generate_key(2048, parameters={"kid": "rsa"}),
}
"""Of the clients that are named by the algorithm; their pages have the private part, which no
app of the web's should."""


def private_keys() -> str:
    """The keys as the client takes them."""
    return json.dumps(
        {
            algorithm: key.as_dict(private=True) | {"alg": algorithm, "key_ops": ["sign"]}
            for algorithm, key in KEYS.items()
        }
    )


def assertion(server: str, client: str) -> dict[str, str]:
    """What an asymmetric client adds to its requests."""
    key, now = KEYS[client], int(time.time())
    claims = {"iss": client, "sub": client, "aud": f"{server}/auth/token", "exp": now + 60}
    claims["jti"] = uuid.uuid4().hex
    return {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode(
            {"alg": client, "kid": key.kid}, claims, key, algorithms=[client]
        ),
    }


def pages(program: bytes) -> Starlette:
    """The app: two pages and their programs."""

    def script(text):
        return lambda request: Response(text, media_type="text/javascript")

    return Starlette(
        routes=[
            Route("/launch.html", lambda request: HTMLResponse(_PAGE.format("launch.js"))),
            Route("/index.html", lambda request: HTMLResponse(_PAGE.format("index.js"))),
            Route("/fhir-client.js", script(program)),
            Route("/launch.js", script(_LAUNCH.replace("KEYS", private_keys()))),
            Route("/index.js", script(_INDEX)),
        ]
    )


class World:
    """Server, app and browser."""

    def __init__(self, place, server, app, browser) -> None:
        self.place, self.server, self.app, self.browser = place, server, app, browser

    async def sign_in(self, page, name):
        await page.get_by_label("User name").fill(name)
        await page.get_by_label("Password", exact=True).fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").first.click()

    async def seen(self, page):
        await page.wait_for_function("document.title == 'ready' || document.title[0] == 'f'")
        assert await page.title() == "ready"
        return await page.evaluate("window.seen")


@pytest.fixture
async def world(tmp_path, fhirclient):
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(hospital(tmp_path))
        for account in place.people.values():
            await place.authorization.identity.credentials.choose(account, PASSWORD)
        server = await stack.enter_async_context(listening(place.app))
        app = await stack.enter_async_context(listening(pages(fhirclient)))
        back, start = f"{app}/index.html", f"{app}/launch.html"
        secret = hashlib.sha256(b"a secret").digest()
        await place.client(redirect_uris=(back,), launch_uri=start)
        await place.client(
            "secret-app",
            kind="symmetric",
            secret_hash=secret,
            redirect_uris=(back,),
            launch_uri=f"{start}?client=secret-app&secret=a%20secret",
        )
        for algorithm, key in KEYS.items():
            await place.client(
                algorithm,
                kind="asymmetric",
                jwks={"keys": [key.as_dict(private=False)]},
                redirect_uris=(back,),
                launch_uri=f"{start}?client={algorithm}",
            )
        runner = await stack.enter_async_context(playwright.async_playwright())
        browser = await runner.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        stack.push_async_callback(browser.close)
        yield World(place, server, app, browser)


@pytest.mark.check("G10-13")
@pytest.mark.check("TOK-1")
@pytest.mark.parametrize("kind", ["public", "symmetric", *KEYS])
async def test_a_standalone_launch(world, kind):
    page = await world.browser.new_page()
    scope = (
        "openid fhirUser launch/patient offline_access patient/Patient.rs patient/Observation.rs"
    )
    secret = "&client=secret-app&secret=a%20secret"
    extra = {"public": "", "symmetric": secret}.get(kind, f"&client={kind}")
    await page.goto(
        f"{world.app}/launch.html?iss={world.server}/fhir&scope={scope.replace(' ', '%20')}{extra}"
    )
    await world.sign_in(page, "doctor")
    await page.get_by_label("Name").fill("Bak")
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("button", name="Choose Bob Baker").click()
    await page.get_by_role("button", name="Allow", exact=True).click()
    seen = await world.seen(page)

    assert seen["patient"] == "b"
    assert seen["observations"] == ["o-b"]
    assert seen["user"] == "Practitioner/d"
    if kind in KEYS:
        form = {"grant_type": "refresh_token", "refresh_token": seen["refreshToken"]}
        async with httpx2.AsyncClient(base_url=world.server) as http:
            alone = await http.post("/auth/token", data=form)
            proved = await http.post("/auth/token", data=form | assertion(world.server, kind))
        assert (alone.status_code, proved.status_code) == (401, 200)
        assert proved.json()["patient"] == "b"
    else:
        assert seen["refreshed"] == "b"


@pytest.mark.check("LAU-1")
@pytest.mark.check("G10-5")
@pytest.mark.parametrize("client", ["app", "secret-app", *KEYS])
async def test_an_ehr_launch(world, client):
    context = await world.browser.new_context()
    page = await context.new_page()
    await page.goto(f"{world.server}/auth/sign-in")
    await world.sign_in(page, "doctor")
    await page.wait_for_url("**/auth/account")
    launch = await page.evaluate(
        """async (client) => (await fetch("/auth/launch", {
          method: "POST", headers: {"Content-Type": "application/json"},
          body: JSON.stringify({client_id: client, patient: "a", encounter: "e-a"}),
        })).json()""",
        client,
    )
    await page.goto(launch["url"])
    await page.get_by_role("button", name="Allow", exact=True).click()
    seen = await world.seen(page)

    assert (seen["patient"], seen["encounter"]) == ("a", "e-a")
    assert seen["observations"] == ["o-a"]
    assert seen["banner"] is True


async def test_a_patient_without_script_says_no(world):
    context = await world.browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    query = (
        "response_type=code&client_id=app&scope=patient%2FPatient.rs&state=s&aud="
        f"{world.server}/fhir&redirect_uri={world.app}/index.html&code_challenge_method=S256"
        f"&code_challenge={'a' * 43}"
    )
    await page.goto(f"{world.server}/auth/authorize?{query}")
    await world.sign_in(page, "ann")
    await page.get_by_role("button", name="Do not allow").click()
    await page.wait_for_url("**/index.html**")

    assert "error=access_denied" in page.url


async def test_the_page_breaks_no_rule_of_its_policy(world):
    page = await world.browser.new_page()
    told = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    scope = "launch/patient%20patient%2F*.rs%20offline_access"
    await page.goto(f"{world.app}/launch.html?iss={world.server}/fhir&scope={scope}")
    await world.sign_in(page, "ann")
    await page.get_by_text("Choose from").click()
    await page.get_by_label("Vaccinations").uncheck()
    await page.get_by_role("button", name="Allow", exact=True).click()
    await page.wait_for_url("**/index.html**")

    assert not [text for text in told if "Content Security Policy" in text]
