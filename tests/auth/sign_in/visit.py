"""Browsers at the sign-in pages, and what was put on record."""

from __future__ import annotations

import re
from html import unescape

import httpx2
from identity.people import PASSWORD

from fhirserver.audit.recorder import Event


class Recorded:
    """A recorder that keeps what it is given."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def record(self, *events: Event) -> None:
        self.events += events

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


class Visit:
    """A browser: keeps cookies, and sends the forms of the page that it is on."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client
        self.page: httpx2.Response

    async def go(self, address: str, **options: object) -> httpx2.Response:
        """Follows redirects, as browsers do."""
        self.page = await self.client.get(address, follow_redirects=True, **options)  # type: ignore[arg-type]
        return self.page

    async def send(self, action: str = "", **fields: str) -> httpx2.Response:
        """Sends the page's form whose address has `action` in it."""
        form = next(one for one in forms(self.page.text) if action in one[0])
        address, found = form
        self.page = await self.client.post(address, data=found | fields, follow_redirects=True)
        return self.page

    @property
    def title(self) -> str:
        found = re.search(r"<h1>(.*?)</h1>", self.page.text)
        return unescape(found[1]) if found else ""

    @property
    def session(self) -> str | None:
        return self.client.cookies.get("__Host-fhirserver-session")


def forms(page: str) -> list[tuple[str, dict[str, str]]]:
    """Address and hidden fields of each form of a page that is sent by POST."""
    found = []
    for head, body in re.findall(r"<form ([^>]*)>(.*?)</form>", page, re.DOTALL):
        action = re.search(r'action="([^"]*)"', head)
        hidden = re.findall(r'<input type="hidden" name="([^"]*)"(?: value="([^"]*)")?>', body)
        assert 'method="post"' in head
        assert action
        found.append((unescape(action[1]), {name: unescape(value) for name, value in hidden}))
    return found


async def sign_in(browser: Visit, name: str = "anna", password: str = PASSWORD) -> Visit:
    """The browser after it sent name and password."""
    await browser.go("/auth/sign-in")
    await browser.send("sign-in", name=name, password=password)
    return browser
