"""The sign-in pages in a real browser, with a virtual authenticator."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
PASSWORD = "Weather-Vane 42"
CHROMIUM = shutil.which("chromium")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of a server that just started for the first time, and what it printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = tmp_path / "out"
    command = [sys.executable, "-m", "fhirserver", "serve", "--port", str(port)]
    with out.open("wb") as file:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=file, stderr=subprocess.STDOUT)
    address = f"http://localhost:{port}"
    try:
        for _ in range(300):
            assert process.poll() is None, out.read_text()
            try:
                if httpx2.get(f"{address}/healthz").status_code == 200:
                    break
            except httpx2.TransportError:
                time.sleep(0.1)
        yield address, out.read_text()
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def page() -> Iterator[Any]:
    """A page of Chromium that has a virtual authenticator."""
    api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        tools = page.context.new_cdp_session(page)
        tools.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
        }
        tools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        yield page
        browser.close()


def test_the_first_administrator_adds_a_passkey(server: tuple[str, str], page: Any) -> None:
    address, printed = server
    once = re.search(r"^One-time password  (\S+)$", printed, re.MULTILINE)
    assert once
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    sign_in = f"{address}/auth/sign-in"

    page.goto(sign_in)
    page.fill("#name", "admin")
    page.fill("#password", once[1])
    page.click("button")
    page.fill("#password", PASSWORD)
    page.fill("#repeated", PASSWORD)
    page.click("button")
    assert page.inner_text("h1") == "Your account"
    page.goto(f"{address}/auth/account/passkey")
    page.click("button")
    page.wait_for_selector("ul.codes")

    page.goto(f"{address}/auth/account")
    page.click("text=Sign out")
    page.goto(sign_in)
    page.click("text=Use a passkey")
    page.click("button")
    page.wait_for_url("**/account")
    page.click("text=Sign out")

    page.goto(sign_in)
    page.fill("#name", "admin")
    page.fill("#password", PASSWORD)
    page.click("button")
    assert page.inner_text("h1") == "Second step"
    page.click("text=Use a passkey")
    page.wait_for_url("**/account")
    assert page.inner_text("h1") == "Your account"
    assert not [text for text in told if "Content Security Policy" in text]
