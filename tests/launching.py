"""A server with authorization in this process, people and apps, a browser without script."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from serving import started
from stores import url_of

from fhirserver import Settings, create_app
from fhirserver.access.grant import SERVER
from fhirserver.app.authorization import Authorization
from fhirserver.auth.client import Client
from fhirserver.identity.account import Account
from fhirserver.interactions.request import Request
from fhirserver.model.json import decode

BASE = "http://localhost/fhir"
ISSUER = "http://localhost/auth"
APP = "https://app.example.org/back"
VERIFIER = "verifier-of-more-than-forty-three-characters-0123456789"
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
)
VITAL = "http://terminology.hl7.org/CodeSystem/observation-category|vital-signs"
_FORM = re.compile(r"<form\b([^>]*)>(.*?)</form>", re.DOTALL)
_INPUT = re.compile(r"<(?:input|button)\b([^>]*)>")
_ATTRIBUTE = re.compile(r'([a-z-]+)(?:="([^"]*)")?')


@dataclass
class Place:
    """The running server. `people` are accounts by name."""

    app: Any
    authorization: Authorization
    people: dict[str, Account] = field(default_factory=dict)

    @property
    def clients(self):
        return self.authorization.server.clients

    async def put(self, resource: dict[str, Any]) -> None:
        """Stores a resource, as the server itself."""
        type, id = resource["resourceType"], resource["id"]
        ask = Request("update", BASE, type, id, resource=resource, grant=SERVER)
        await self.app._running.dispatch(ask)

    async def person(self, name: str, *roles: str, fhir_user: str | None = None) -> Account:
        accounts = self.authorization.identity.accounts
        account = await accounts.create(name, roles=roles, fhir_user=fhir_user)
        self.people[name] = account
        return account

    async def client(self, id: str = "app", **fields: Any) -> Client:
        usual = {"name": "An app", "kind": "public", "created": 1, "redirect_uris": (APP,)}
        client = Client(id=id, **{**usual, **fields})
        await self.clients.add(client)
        return client

    @asynccontextmanager
    async def browser(self, name: str | None = None) -> AsyncIterator[Browser]:
        """A browser, in which somebody is signed in."""
        transport = httpx2.ASGITransport(app=self.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as http:
            if name is not None:
                sessions = self.authorization.identity.sessions
                begun = await sessions.begin(self.people[name], ("pwd",))
                http.cookies.set("fhirserver-session", begun.cookie)
            yield Browser(http)


class Browser:
    """Follows what a browser would; stops at another host."""

    def __init__(self, http: httpx2.AsyncClient, origin: str = "http://localhost") -> None:
        self.http = http
        self._origin = origin

    async def get(self, url: str, **parameters: Any) -> httpx2.Response:
        return await self._follow(await self.http.get(url, params=parameters or None))

    async def send(
        self,
        page: httpx2.Response,
        press: tuple[str, str] | None = None,
        *,
        form: int = 0,
        without: Iterable[str] = (),
        fill: dict[str, Any] | None = None,
    ) -> httpx2.Response:
        """Sends a form of a page as it stands, with a button pressed; `without` are values of
        boxes that are unticked, `fill` other values."""
        attributes, inside = _FORM.findall(page.text)[form]
        action = unescape(_attributes(attributes)["action"])
        given = fill or {}
        pairs = [
            (field["name"], field.get("value", ""))
            for field in map(_attributes, _INPUT.findall(inside))
            if _is_sent(field) and field["name"] not in given and field.get("value") not in without
        ]
        for name, value in given.items():
            pairs += [(name, one) for one in ([value] if isinstance(value, str) else value)]
        pairs += [press] if press else []
        data: dict[str, list[str]] = {}
        for name, value in pairs:
            data.setdefault(unescape(name), []).append(unescape(value))
        return await self._follow(
            await self.http.post(action, data=data, headers={"Origin": self._origin})
        )

    async def _follow(self, response: httpx2.Response) -> httpx2.Response:
        for _ in range(10):
            if response.status_code != 303:
                return response
            where = response.headers["location"]
            if urlsplit(where).netloc not in ("", urlsplit(self._origin).netloc):
                return response
            response = await self.http.get(where)
        raise AssertionError("too many redirects")


def _is_sent(field: dict[str, str]) -> bool:
    """Whether a field goes with its form, whatever button is pressed. Buttons have no type here."""
    kind = field.get("type", "text")
    if "name" not in field or kind == "submit" or "class" in field or "aria-label" in field:
        return False
    return kind not in ("checkbox", "radio") or "checked" in field


def _attributes(text: str) -> dict[str, str]:
    return {name: unescape(value) for name, value in _ATTRIBUTE.findall(text)}


def answer_of(response: httpx2.Response) -> dict[str, str]:
    """The parameters that the client gets. Fails if the response does not lead to it."""
    where = response.headers.get("location", "")
    assert response.status_code == 303, (response.status_code, response.text[-2000:])
    assert where.startswith(APP), where
    return dict(parse_qsl(urlsplit(where).query, keep_blank_values=True))


def asked(**fields: Any) -> dict[str, str]:
    """An authorization request of the app; a field that is None is left out."""
    usual = {
        "response_type": "code",
        "client_id": "app",
        "redirect_uri": APP,
        "scope": "openid fhirUser launch/patient patient/Patient.rs patient/Observation.rs",
        "state": "s-1 &=é",
        "aud": BASE,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return {name: value for name, value in {**usual, **fields}.items() if value is not None}


async def redeemed(browser: Browser, code: str, **fields: str) -> httpx2.Response:
    """What the token endpoint answers to a code."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": APP,
        "client_id": "app",
        "code_verifier": VERIFIER,
        **fields,
    }
    return await browser.http.post("/auth/token", data=form)


def patient(id: str, family: str, given: str, born: str = "1980-02-03") -> dict[str, Any]:
    name = {"family": family, "given": [given]}
    return {"resourceType": "Patient", "id": id, "name": [name], "birthDate": born}


def observation(id: str, patient: str, category: str = VITAL) -> dict[str, Any]:
    system, code = category.split("|")
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "category": [{"coding": [{"system": system, "code": code}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": "2026-01-02",
        "valueQuantity": {"value": 70, "unit": "/min"},
    }


def encounter(id: str, patient: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": id,
        "status": "finished",
        "class": {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
            "code": "AMB",
            "display": "ambulatory",
        },
        "subject": {"reference": f"Patient/{patient}"},
        "period": {"start": "2026-01-02T10:00:00Z"},
    }


@asynccontextmanager
async def hospital(data: Path, **settings: Any) -> AsyncIterator[Place]:
    """A server with two patients, their observations and encounters, and one person per role."""
    if url := url_of(data):
        settings["store"] = url
    app = create_app(Settings(data=data, auth="smart", **settings))
    async with started(app):
        place = Place(app, app._running.authorization)
        for id, family, given in (("a", "Archer", "Ann"), ("b", "Baker", "Bob")):
            await place.put(patient(id, family, given))
            await place.put(observation(f"o-{id}", id))
            await place.put(encounter(f"e-{id}", id))
        await place.put({"resourceType": "Practitioner", "id": "d", "name": [{"family": "Doc"}]})
        await place.person("doctor", "doctor", fhir_user="Practitioner/d")
        await place.person("ann", "patient", fhir_user="Patient/a")
        await place.person("support", "support")
        yield place


def body(response: httpx2.Response) -> Any:
    return decode(response.content)
